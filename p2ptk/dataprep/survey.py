"""Reads every pair once and keeps what is worth knowing of it: a few hundred numbers."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
from torch import Tensor

from p2ptk.contracts import Dataset, Side
from p2ptk.data import need_split
from p2ptk.dataprep.alignment import Agreement, compare, strangers
from p2ptk.dataprep.duplicates import Print, fingerprint
from p2ptk.dataprep.traits import traits
from p2ptk.dataprep.views import Array, Pixels, as_contrast
from p2ptk.datasets.filepairs import Problem
from p2ptk.errors import UserError

Progress = Callable[[int, int], None]
COMPARED = 32  # pairs whose A is set against another pair's B
WINDOWS = 512  # pairs whose whole correlation is kept, for what all have in common
MANY = 64  # different values, above which an image is not taken for class numbers


@dataclass(frozen=True)
class Place:
    """Where a pair is: its split, and its number there."""

    split: str
    number: int


@dataclass(frozen=True, eq=False)
class SideLook:
    """One side of one pair.

    low, high: its least and largest value. alpha: those of its last channel, if it has 2 or 4.
    values: which numbers it holds, where it has one channel and they are few.
    """

    size: tuple[int, int]
    channels: int
    dtype: str
    low: float
    high: float
    alpha: tuple[float, float] | None
    values: frozenset[int] | None
    digest: bytes
    print: Print
    traits: Array

    @property
    def blank(self) -> bool:
        return self.low == self.high


@dataclass(frozen=True, eq=False)
class Look:
    """One pair. `agreement` is None where it can't be told, and for single pictures."""

    name: str
    split: str
    number: int
    a: SideLook
    b: SideLook
    agreement: Agreement | None

    def __str__(self) -> str:
        return f"{self.split}/{self.name}"


@dataclass
class Survey:
    """All pairs that could be read, those that could not, and how well strangers' edges agree.

    counts: pairs of each split as the dataset gives them. single: pictures rather than pairs.
    """

    counts: dict[str, int]
    looks: list[Look] = field(default_factory=list)
    unread: list[Problem] = field(default_factory=list)
    strangers: list[float] = field(default_factory=list)
    single: bool = False


def survey(dataset: Dataset, most: int | None = None, progress: Progress | None = None) -> Survey:
    """Read the pairs of all splits, in threads.

    most: of each split read no more than this many, spread evenly.
    progress: told (done, total).
    """
    splits = {name: need_split(dataset, name) for name in dataset.splits()}
    counts = {name: len(split) for name, split in splits.items()}
    places = [Place(name, i) for name, n in counts.items() for i in spread(n, most or n)]
    kept = {places[i] for i in spread(len(places), WINDOWS)}
    single = False

    def look(place: Place) -> Look | Problem:
        nonlocal single
        try:
            pair = splits[place.split][place.number]
        except UserError as error:
            path, why = getattr(error, "path", place.split), getattr(error, "why", str(error))
            return Problem(str(path), why)
        alone = pair.source is pair.target
        single = single or alone
        a, b = as_contrast(pair.source, dataset.a), as_contrast(pair.target, dataset.b)
        look_a = look_at(pair.source, a, dataset.a)
        look_b = look_a if alone else look_at(pair.target, b, dataset.b)
        agreement = None if alone or a.shape != b.shape else compare(a, b)
        if agreement and place not in kept:
            agreement = replace(agreement, window=None)
        return Look(pair.name, place.split, place.number, look_a, look_b, agreement)

    def meet(place: Place) -> float | None:
        """How the edges of a pair's A agree with the B of one half the list away."""
        split = splits[place.split]
        far = (place.number + len(split) // 2) % len(split)
        try:
            one, other = split[place.number], split[far]
        except UserError:
            return None
        a, b = as_contrast(one.source, dataset.a), as_contrast(other.target, dataset.b)
        return strangers(a, b)

    found = Survey(counts)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for done, result in enumerate(pool.map(look, places), 1):
            if isinstance(result, Look):
                found.looks.append(result)
            else:
                found.unread.append(result)
            if progress:
                progress(done, len(places))
        found.single = single
        if not single:
            some = [places[i] for i in spread(len(places), COMPARED)]
            met = pool.map(meet, [place for place in some if counts[place.split] > 1])
            found.strangers = [value for value in met if value is not None]
    return found


def look_at(x: Tensor, seen: Pixels, side: Side) -> SideLook:
    """What is worth knowing of one side C H W, with its picture `seen`."""
    array = x.numpy()
    whole = not x.is_floating_point()
    few = None
    if whole and len(x) == 1:
        values = np.unique(array)
        few = frozenset(int(v) for v in values) if len(values) <= MANY else None
    last = array[-1] if len(x) in (2, 4) and whole and side.kind == "image" else None
    head = repr((x.shape, array.dtype.str)).encode()
    return SideLook(
        size=(int(x.shape[-2]), int(x.shape[-1])),
        channels=len(x),
        dtype=array.dtype.name,
        low=float(array.min()),
        high=float(array.max()),
        alpha=None if last is None else (float(last.min()), float(last.max())),
        values=few,
        digest=hashlib.blake2b(head + array.tobytes(), digest_size=16).digest(),
        print=fingerprint(seen),
        traits=traits(seen),
    )


def spread(count: int, most: int) -> Sequence[int]:
    """At most `most` numbers below `count`, evenly spread."""
    if most >= count:
        return range(count)
    return [i * count // most for i in range(most)]
