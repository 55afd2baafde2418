"""What a side looks like, in six numbers: to notice a pair whose sides are swapped, and a drawing.

On facades, maps and the earth's tiles the six tell the sides of every pair apart; of pairs whose
sides were swapped on purpose every one is found, and no other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from p2ptk.dataprep.views import Array, Pixels

FLAT = 6  # levels of 8 bits between neighbours that JPEG's noise makes of an even area
LARGEST = 1024
FEWEST = 12  # pairs, below which nothing is said of swapped sides
CLEAR = 0.4  # of the usual difference between the sides; a pair below it is not clear

Numbers = NDArray[np.float64]


def traits(image: Pixels) -> Array:
    """Of a picture H W 3: even area, number of colours, colourfulness, level, contrast, edges.

    Of a large one the middle is taken.
    """
    top, left = (max(0, side - LARGEST) // 2 for side in image.shape[:2])
    image = image[top : top + LARGEST, left : left + LARGEST]
    x = np.ascontiguousarray(image.transpose(2, 0, 1)).astype(np.int16)  # planes: twice as fast
    across = np.abs(x[:, :-1, 1:] - x[:, :-1, :-1]).max(0)
    down = np.abs(x[:, 1:, :-1] - x[:, :-1, :-1]).max(0)
    steps = np.maximum(across, down)
    bins = (x[0] >> 4) * 256 + (x[1] >> 4) * 16 + (x[2] >> 4)
    counts = np.sort(np.bincount(bins.ravel(), minlength=4096))[::-1].cumsum()
    colours = int(np.searchsorted(counts, 0.95 * counts[-1])) + 1
    return np.array(
        [
            (steps <= FLAT).mean(),
            np.log2(colours),
            (x.max(0) - x.min(0)).mean() / 255,
            x.mean() / 255,
            x.std() / 255,
            np.log(1e-3 + steps.mean() / 255),
        ],
        np.float32,
    )


def swapped(a: Sequence[Array], b: Sequence[Array]) -> list[int]:
    """Which pairs have their sides the wrong way round, going by all others.

    a, b: the traits of both sides. Fisher's discriminant of their differences; nothing is said
    where it does not tell the sides of nearly all pairs apart.
    """
    if len(a) < FEWEST:
        return []
    differences: Numbers = np.array(a, float) - np.array(b, float)
    turned = np.ones(len(a))
    for _ in range(3):  # what was found is turned back, since it hides itself by the spread it adds
        right = differences * turned[:, None]
        spread = np.cov(right.T)
        spread += np.diag(0.2 * np.diag(spread) + 1e-4)
        score = differences @ np.linalg.solve(spread, np.median(right, 0))
        turned = np.where(score < 0, -1.0, 1.0)
    middle = float(np.median(score))
    if middle <= 0:
        return []
    clear = np.abs(score) >= CLEAR * middle
    found = np.flatnonzero(score <= -0.5 * CLEAR * middle)
    unclear = (~clear).sum() - np.isin(found, np.flatnonzero(~clear)).sum()
    if unclear > 0.03 * len(score) or len(found) > 0.25 * len(score):
        return []
    return [int(i) for i in found]


def drawn(a: Sequence[Array], b: Sequence[Array]) -> str:
    """Which side, "a" or "b", is drawn in even areas while the other is not; "" where unsure."""
    if not len(a):
        return ""
    flatter = np.array(b)[:, 0] - np.array(a)[:, 0]
    median = float(np.median(flatter))
    agree = float((np.sign(flatter) == np.sign(median)).mean())
    if abs(median) < 0.15 or agree < 0.9:
        return ""
    return "b" if median > 0 else "a"
