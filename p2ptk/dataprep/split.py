"""Divides pairs into train, val and test, by name and seed, groups kept together."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from p2ptk.components import create, resolve
from p2ptk.dataprep.place import need_place, read_from, staged
from p2ptk.datasets.filepairs import Entry, FilePairs
from p2ptk.errors import UserError
from p2ptk.randomness import seed_of
from p2ptk.specs import Spec

NAMED = 5


@dataclass(frozen=True)
class Divided:
    """What was written: pairs and groups by split, and whether files were linked or copied."""

    counts: Mapping[str, int]
    groups: Mapping[str, int]
    linked: bool


def split_pairs(
    spec: Spec,
    out: Path,
    *,
    val: float,
    test: float,
    seed: int = 0,
    group: str | None = None,
    copy: bool = False,
    skip_bad: bool = False,
) -> Divided:
    """Write the pairs of `spec` to OUT/train, OUT/val and OUT/test.

    Side-by-side images keep their names; pairs of two files go to OUT/SPLIT/A and OUT/SPLIT/B.
    Files are hard links where the disk allows it, so that they take no room: what changes one
    changes the other.

    val, test: shares of the pairs. seed: draws them; the same names and seed give the same splits.
    group: a regular expression; pairs for whose names its first bracket (or all of it) is the same
        stay together.
    copy: copy files even where they could be linked.

    Raises UserError for shares that leave nothing, data that is split already, a folder that is in
    the way, and names that `group` does not match.
    """
    if not (0 <= val < 1 and 0 <= test < 1 and val + test < 1):
        raise UserError(f"val {val:g} and test {test:g} should be shares that leave some of 1.")
    if not val and not test:
        raise UserError("val and test are both 0: there is nothing to divide.")
    known = {field.name for field in resolve("dataset", spec).fields}
    if "val_fraction" not in known:
        raise UserError(f"the dataset {spec.name!r} can't be divided: it is no set of files.")
    dataset = create("dataset", spec.having(val_fraction=0.0, skip_bad=skip_bad))
    if not isinstance(dataset, FilePairs):
        raise UserError(f"the dataset {spec.name!r} can't be divided: it is no set of files.")
    if dataset.splits() != ("train",):
        there = ", ".join(dataset.splits())
        raise UserError(f"{dataset.where} is divided already: it has {there}.")
    entries = dataset.split("train").entries
    need_place(out, read_from(dataset))
    groups = _grouped(entries, group)
    chosen = draw({key: len(part) for key, part in groups.items()}, val, test, seed)
    linked = True
    with staged(out) as place:
        for key, part in groups.items():
            for entry in part:
                for source, target in _targets(entry, place / chosen[key]):
                    linked = _bring(source, target, copy or not linked) and linked
    counts = dict.fromkeys(("train", "val", "test"), 0)
    numbers = dict(counts)
    for key, part in groups.items():
        counts[chosen[key]] += len(part)
        numbers[chosen[key]] += 1
    used = [name for name in counts if counts[name]]
    return Divided({n: counts[n] for n in used}, {n: numbers[n] for n in used}, linked and not copy)


def draw(sizes: Mapping[str, int], val: float, test: float, seed: int) -> dict[str, str]:
    """The split of each group, given how many pairs it has.

    Groups are taken in the order of a hash of seed and name, so that few change sides when some are
    added, and each goes in if that brings the split nearer to its share. Raises UserError where a
    split that was asked for, or train, gets none.
    """
    ranked = sorted(sizes, key=lambda name: seed_of("split", seed, name))
    total = sum(sizes.values())
    chosen = dict.fromkeys(sizes, "train")
    for split, share in (("test", test), ("val", val)):
        have, wanted = 0, share * total
        for name in ranked:
            if chosen[name] != "train" or have >= wanted:
                continue
            # The first may overshoot: a split has at least one group.
            if not have or abs(have + sizes[name] - wanted) <= abs(have - wanted):
                chosen[name] = split
                have += sizes[name]
    counts = {split: list(chosen.values()).count(split) for split in ("train", "val", "test")}
    for split, share in (("train", 1.0), ("val", val), ("test", test)):
        if share and not counts[split]:
            what = f"{len(sizes)} group{'s' if len(sizes) > 1 else ''}"
            raise UserError(
                f"{what} of {total} pairs can't be divided: nothing is left for {split}."
            )
    return chosen


def _grouped(entries: Sequence[Entry], pattern: str | None) -> dict[str, list[Entry]]:
    """The pairs by group; each alone without a pattern."""
    if pattern is None:
        return {entry.name: [entry] for entry in entries}
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UserError(f"--group {pattern!r} is no regular expression: {error}.") from None
    groups: dict[str, list[Entry]] = defaultdict(list)
    missed = []
    for entry in entries:
        match = compiled.search(entry.name)
        key = (match[1] if compiled.groups else match[0]) if match else None
        if key is None:
            missed.append(entry.name)
        else:
            groups[key].append(entry)
    if missed:
        names = ", ".join(missed[:NAMED]) + (", ..." if len(missed) > NAMED else "")
        raise UserError(f"--group {pattern!r} does not match {len(missed)} names: {names}.")
    return groups


def _targets(entry: Entry, folder: Path) -> list[tuple[Path, Path]]:
    """Where the files of a pair go."""
    if entry.halves:
        return [(entry.a, folder / _name(entry.name, entry.a))]
    sides = (("A", entry.a), ("B", entry.b))
    return [(file, folder / which / _name(entry.name, file)) for which, file in sides]


def _name(name: str, file: Path) -> Path:
    """A pair's name with the file's ending, which it has already where two files share a stem."""
    parts = PurePosixPath(name).parts
    if file.parts[-len(parts) :] == parts:
        return Path(*parts)
    return Path(*parts[:-1], parts[-1] + file.suffix)


def _bring(source: Path, target: Path, copy: bool) -> bool:
    """Link or copy a file; whether it was linked."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not copy:
        try:
            os.link(source.resolve(), target)
            return True
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EEXIST):
                raise
    shutil.copy2(source, target)
    return False
