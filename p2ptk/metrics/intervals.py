"""How sure a number over images is: intervals from drawing the images anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Interval = tuple[float, float]
Statistic = Callable[[Array], Array]

LEVEL = 0.95
RESAMPLES = 5000
LEFT_OUT = 2000  # groups left out in turn, where there are more images than that
_ROOM = 4_000_000  # counts held at a time


def bca_interval(statistic: Statistic, images: int, *, seed: int = 0) -> Interval | None:
    """The 95 % bootstrap interval of a statistic over images, bias-corrected and accelerated.

    Efron, JASA 1987: 5,000 draws with replacement, the acceleration from leaving out one image at
    a time. A function of the seed. None for fewer than two images or where it has no value.

    statistic: from counts R images, how often each image counts in each of R draws, to R values.
    """
    if images < 2:
        return None
    ones = np.ones((1, images))
    value = float(statistic(ones)[0])
    drawn = _drawn(statistic, images, seed)
    left_out = _left_out(statistic, images)
    drawn, left_out = drawn[np.isfinite(drawn)], left_out[np.isfinite(left_out)]
    if not np.isfinite(value) or not len(drawn) or not len(left_out):
        return None
    if np.ptp(drawn) == 0:
        return float(drawn[0]), float(drawn[0])
    normal = NormalDist()
    # Draws that equal the value count half, so that a statistic with few values is not pushed off.
    below = np.mean(drawn < value) + np.mean(drawn == value) / 2
    bias = normal.inv_cdf(min(max(float(below), 1 / len(drawn)), 1 - 1 / len(drawn)))
    away = left_out.mean() - left_out
    spread = float((away**2).sum()) ** 1.5
    acceleration = float((away**3).sum()) / (6 * spread) if spread else 0.0
    ends = []
    for tail in ((1 - LEVEL) / 2, (1 + LEVEL) / 2):
        z = bias + normal.inv_cdf(tail)
        ends.append(normal.cdf(bias + z / (1 - acceleration * z)))
    low, high = np.quantile(drawn, ends)
    return float(low), float(high)


def mean_interval(values: Sequence[float], *, seed: int = 0) -> Interval | None:
    """The bootstrap interval of the mean of per-image scores; see `bca_interval`."""
    scores = np.asarray(values, dtype=np.float64)

    def mean(counts: Array) -> Array:
        return np.asarray(counts @ scores / counts.sum(1))

    return bca_interval(mean, len(scores), seed=seed)


def jackknife_interval(value: float, left_out: Sequence[float]) -> Interval | None:
    """A 95 % interval for a distance between sets, which drawing an image twice would distort.

    By the standard error that the values without each image in turn give (Efron & Tibshirani 1993,
    eq. 11.5). None for fewer than ten images.
    """
    values = np.asarray(left_out, dtype=np.float64)
    if len(values) < 10 or not np.isfinite(values).all():
        return None
    error = np.sqrt((len(values) - 1) * values.var())
    reach = float(NormalDist().inv_cdf((1 + LEVEL) / 2) * error)
    return value - reach, value + reach


def _drawn(statistic: Statistic, images: int, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    values = []
    for _, rows in _parts(RESAMPLES, images):
        picked = rng.integers(0, images, (rows, images)) + np.arange(rows)[:, None] * images
        counts = np.bincount(picked.ravel(), minlength=rows * images).reshape(rows, images)
        values.append(statistic(counts.astype(np.float64)))
    return np.concatenate(values)


def _left_out(statistic: Statistic, images: int) -> Array:
    groups = min(images, LEFT_OUT)
    member = np.arange(images) % groups
    values = []
    for start, rows in _parts(groups, images):
        values.append(statistic((member != np.arange(start, start + rows)[:, None]).astype(float)))
    return np.concatenate(values)


def _parts(total: int, images: int) -> Iterator[tuple[int, int]]:
    """(first row, number of rows) of parts that fit in memory."""
    each = max(1, _ROOM // images)
    for start in range(0, total, each):
        yield start, min(each, total - start)
