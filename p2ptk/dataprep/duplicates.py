"""Pairs that come more than once: the same pixels, or the same picture saved anew.

A picture's fingerprint is its brightness at 16 x 16. Two fingerprints are compared by their
correlation, which does not mind other brightness or contrast. On facades, maps and the earth's
tiles, saving anew as JPEG of quality 60, or at three quarters of the size, leaves it above 0.999;
of different pairs no two come above 0.96 on both sides, if pictures without contrast are left out:
those (empty water) must agree in their level as well, and can't alone make a pair a duplicate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from p2ptk.dataprep.views import Array, Pixels

GRID = 16
ALIKE = 0.99  # correlation of fingerprints
TELLING = 0.03  # contrast (deviation, of 0 to 1) below which a fingerprint says little
LEVEL = 0.02  # difference of such fingerprints that may be
_AT_ONCE = 1 << 24  # likenesses that are held in memory

Floats = NDArray[np.float32]
Match = tuple[int, int, float]  # two indices and their likeness


@dataclass(frozen=True)
class Print:
    """A fingerprint: brightness at GRID x GRID as a unit vector, with its level and contrast."""

    vector: Array
    level: float
    contrast: float

    @property
    def telling(self) -> bool:
        return self.contrast >= TELLING


def fingerprint(image: Pixels) -> Print:
    """The fingerprint of a picture H W 3."""
    small = Image.fromarray(image).resize((GRID, GRID), Image.Resampling.BOX)
    grid = np.asarray(small, np.float32).mean(-1) / 255
    level, contrast = float(grid.mean()), float(grid.std())
    vector = (grid - level).ravel()
    return Print(vector / (float(np.linalg.norm(vector)) + 1e-9), level, contrast)


def mirrored(found: Print) -> Print:
    """The fingerprint of the picture with left and right swapped."""
    vector = found.vector.reshape(GRID, GRID)[:, ::-1].ravel()
    return Print(vector, found.level, found.contrast)


def near(a: Sequence[Print], b: Sequence[Print]) -> Iterator[Match]:
    """Pairs of pairs (i < j) of which both sides look alike, and how much.

    a, b: the fingerprints of both sides, in one order. Quadratic in their number: 10,000 pairs
    take seconds, 100,000 minutes.
    """
    stacks = _Stack(a), _Stack(b)
    yield from _alike(*stacks, *stacks)


def near_mirrored(a: Sequence[Print], b: Sequence[Print]) -> Iterator[Match]:
    """As `near`, for pairs that are the other's mirror image."""
    flipped_a, flipped_b = ([mirrored(each) for each in side] for side in (a, b))
    yield from _alike(_Stack(a), _Stack(b), _Stack(flipped_a), _Stack(flipped_b))


class _Stack:
    """Fingerprints as arrays."""

    def __init__(self, prints: Sequence[Print]) -> None:
        self.vectors: Floats = np.array([p.vector for p in prints], np.float32)
        self.levels: Floats = np.array([p.level for p in prints], np.float32)
        self.telling: NDArray[np.bool_] = np.array([p.telling for p in prints])

    def likeness(self, rows: NDArray[np.intp], others: _Stack, columns: NDArray[np.intp]) -> Floats:
        """How alike the prints of `rows` are to those of `columns`, one by one.

        Where both say little: 1 if they have one level, else 0.
        """
        alike: Floats = (self.vectors[rows] * others.vectors[columns]).sum(-1)
        level = np.abs(self.levels[rows] - others.levels[columns]) <= LEVEL
        silent = ~self.telling[rows] & ~others.telling[columns]
        return np.where(silent, level.astype(np.float32), alike)


def _alike(a: _Stack, b: _Stack, other_a: _Stack, other_b: _Stack) -> Iterator[Match]:
    """Index pairs whose likeness on both sides is ALIKE or more, one of the sides telling.

    The product of all with all is taken for one side only, the other is asked where it says so.
    """
    for subset, first, other, second, other_second in (
        (a.telling, a, other_a, b, other_b),
        (~a.telling & b.telling, b, other_b, a, other_a),
    ):
        members = np.flatnonzero(subset)
        columns_of = other.vectors[members].T
        rows_at_once = max(1, _AT_ONCE // max(1, len(members)))
        for start in range(0, len(members), rows_at_once):
            block = members[start : start + rows_at_once]
            rows, columns = np.nonzero(first.vectors[block] @ columns_of >= ALIKE)
            rows, columns = block[rows], members[columns]
            rows, columns = rows[rows < columns], columns[rows < columns]
            both = np.minimum(
                first.likeness(rows, other, columns), second.likeness(rows, other_second, columns)
            )
            for i, j, likeness in zip(rows, columns, both, strict=True):
                if likeness >= ALIKE:
                    yield int(i), int(j), float(likeness)
