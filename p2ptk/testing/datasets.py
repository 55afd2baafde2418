"""Checks for datasets: their splits, and how they stand use."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from p2ptk.errors import UserError
from p2ptk.pairs.stream import Stream
from p2ptk.specs import Spec
from p2ptk.testing.common import check
from p2ptk.testing.outcomes import Failed, Skipped, told
from p2ptk.testing.pairs import indices_of, same_pair
from p2ptk.testing.subject import Subject

NOWHERE = "no-such-place-for-p2ptk-check"
PATHS = ("path", "root", "folder", "dir", "directory", "file", "archive")  # names of parameters


@check("dataset", essential=True)
def splits(subject: Subject) -> str:
    """splits() names at least one split, and each has pairs."""
    made = subject.build()
    names = made.splits()
    if (
        not isinstance(names, tuple)
        or not names
        or not all(isinstance(n, str) and n for n in names)
    ):
        raise Failed(
            f"{subject.name}.splits gives {names!r}: give a tuple of names, as ('train',)."
        )
    if len(set(names)) < len(names):
        raise Failed(f"{subject.name}.splits gives a name twice: {names!r}.")
    counts = {name: len(made.split(name)) for name in names}
    for name, count in counts.items():
        if not count:
            raise Failed(f"{subject.name}'s split {name!r} is empty: leave it out of splits().")
    if "train" not in names:
        raise Failed(f"{subject.name} has the splits {names!r}, and no 'train' to train on.")
    return ", ".join(f"{count} {name}" for name, count in counts.items())


@check("dataset")
def unknown_split(subject: Subject) -> None:
    """A split that is not there is refused with a UserError."""
    try:
        subject.build().split(NOWHERE)
    except UserError:
        return
    except Exception as error:
        raise Failed(
            f"{subject.name}.split of an unknown name stops with {told(error)}: raise "
            "p2ptk.UserError naming the splits that there are."
        ) from error
    raise Failed(
        f"{subject.name}.split of an unknown name gives a split: raise p2ptk.UserError, so that "
        "test never stands in for val."
    )


@check("dataset")
def deterministic(subject: Subject) -> None:
    """A pair is the same whenever it is asked for, in any order, and from several threads."""
    first, second = subject.build(), subject.build()
    for split in first.splits():
        part, other = first.split(split), second.split(split)
        if len(part) != len(other):
            raise Failed(f"{subject.name}'s {split!r} has {len(part)} pairs, then {len(other)}.")
        indices = list(indices_of(part))
        once = [part[i] for i in indices]
        with ThreadPoolExecutor(4) as pool:
            again = list(pool.map(other.__getitem__, reversed(indices)))[::-1]
        for index, a, b in zip(indices, once, again, strict=True):
            if not same_pair(a, b):
                raise Failed(
                    f"{subject.name}'s pair {index} of {split!r} is another when asked for again, "
                    "in threads and in another order: draw nothing, and share no open file."
                )


@check("dataset")
def ends(subject: Subject) -> None:
    """An index beyond the end raises IndexError, so that a split can be iterated over."""
    part = subject.build().split("train")
    try:
        part[len(part)]
    except IndexError:
        return
    except Exception as error:
        raise Failed(
            f"{subject.name}'s split stops with {told(error)} beyond its end: raise IndexError."
        ) from error
    raise Failed(f"{subject.name}'s split gives a pair beyond its end: raise IndexError.")


@check("dataset")
def worker_processes(subject: Subject) -> None:
    """A split can be sent to a worker process, and decodes there."""
    part = subject.build().split("train")
    try:
        twin = pickle.loads(pickle.dumps(part))
    except Exception as error:
        raise Failed(
            f"{subject.name}'s split can't be sent to a worker process ({told(error)}): keep paths "
            "and numbers in it, open files in __getitem__, and define its class in a module."
        ) from error
    if not same_pair(part[0], twin[0]):
        raise Failed(f"{subject.name}'s split gives another pair once it was pickled.")

    def batches() -> Iterator[tuple[int, ...]]:
        while True:
            yield (0,)

    stream = Stream(part, batches, workers=1, pin=False)
    try:
        decoded = next(stream)
    except Exception as error:
        raise Failed(
            f"{subject.name}'s split does not decode in a worker: {told(error)}."
        ) from error
    finally:
        stream.close()
    pair = part[0]
    if not torch.equal(decoded.a[0], pair.source) or not torch.equal(decoded.b[0], pair.target):
        raise Failed(f"{subject.name}'s split gives another pair in a worker process.")


@check("dataset")
def bad_path(subject: Subject) -> str:
    """A path that is not there is answered with a UserError that names it."""
    params = _bad_params(subject)
    if params is None:
        raise Skipped("no parameter of it is a path; give `bad`, a spec that names no data.")
    try:
        subject.target(**params)
    except UserError as error:
        if subject.bad is None and NOWHERE not in str(error):
            raise Failed(
                f"{subject.name} refuses a path that is not there, but does not name it ({error}): "
                "put the path into the sentence."
            ) from error
        return str(error).partition("\n")[0]
    except Exception as error:
        raise Failed(
            f"{subject.name} stops with {told(error)} where the data is not there: raise "
            "p2ptk.UserError with a sentence that names the path."
        ) from error
    raise Failed(
        f"{subject.name} says nothing of a path that is not there: look for it when it is built, "
        "and raise p2ptk.UserError."
    )


def _bad_params(subject: Subject) -> dict[str, Any] | None:
    """Parameters that name no data: those given, else a path replaced by one that is not there."""
    from p2ptk.schema import validate

    if subject.bad is not None:
        bad = subject.bad
        given = Spec.of(bad).params if isinstance(bad, (str, Spec)) else dict(bad)
        return validate(subject.fields, given, str(subject))
    for field in subject.fields:
        value = subject.params[field.name]
        if isinstance(value, Path) or (isinstance(value, str) and field.name in PATHS):
            place = Path(value)
            bad = place.with_name(NOWHERE + place.suffix)
            return {**subject.params, field.name: type(value)(bad)}
    return None
