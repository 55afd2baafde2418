"""What can be measured on a few outputs and their targets: detail, checkerboard, colour, distance.

Pictures are uint8 H W 3 throughout; an output and its target have one size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Grey = NDArray[np.float64]

LUMA = np.array([0.299, 0.587, 0.114])
PERIODS = (2, 4, 8)  # pixels; each transposed convolution of stride 2 may leave one
FAINTEST = 0.75 / 255  # amplitude of a pattern that can be seen


@dataclass(frozen=True)
class Looks:
    """How the newest outputs look beside their targets.

    detail: median of the outputs' fine detail over their targets'; 1 is as much.
    checkerboard: how far the pattern of `period` pixels stands out of its neighbours in the
        outputs' spectrum, over the same in the targets'; 1 is not at all.
    cast: median difference of the mean colours, R G B in [-1, 1] of the whole scale; a channel
        that not nearly all pairs agree about is 0.
    """

    detail: float
    checkerboard: float
    period: int
    cast: tuple[float, float, float]


def look(outputs: Sequence[Pixels], targets: Sequence[Pixels]) -> Looks:
    """Compare outputs with their targets, pair by pair."""
    pairs = [(_grey(a), _grey(b)) for a, b in zip(outputs, targets, strict=True)]
    detail = float(np.median([_detail(a) / max(_detail(b), 1e-4) for a, b in pairs]))
    board, period = max(
        ((_pattern([a for a, _ in pairs], [b for _, b in pairs], p), p) for p in PERIODS),
        default=(1.0, PERIODS[0]),
    )
    return Looks(detail, board, period, _cast(outputs, targets))


def distance(outputs: Sequence[Pixels], targets: Sequence[Pixels]) -> float:
    """Mean absolute difference on the networks' scale, where black to white is 2."""
    each = [
        np.abs(a.astype(np.float64) - b).mean() / 127.5
        for a, b in zip(outputs, targets, strict=True)
    ]
    return float(np.mean(each))


def _grey(image: Pixels) -> Grey:
    grey: Grey = image.astype(np.float64) @ LUMA / 255
    return grey


def _detail(x: Grey) -> float:
    """Mean magnitude of the Laplacian."""
    inner = x[1:-1, 1:-1]
    sides = x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:]
    return float(np.abs(4 * inner - sides).mean()) if inner.size else 0.0


def _cast(outputs: Sequence[Pixels], targets: Sequence[Pixels]) -> tuple[float, float, float]:
    means = [
        (a.mean((0, 1), dtype=np.float64) - b.mean((0, 1), dtype=np.float64)) / 255
        for a, b in zip(outputs, targets, strict=True)
    ]
    table = np.stack(means)
    middle = np.median(table, 0)
    agreed = (np.sign(table) == np.sign(middle)).mean(0) >= 0.8
    red, green, blue = np.where(agreed, middle, 0.0).tolist()
    return red, green, blue


def _pattern(outputs: Sequence[Grey], targets: Sequence[Grey], period: int) -> float:
    """By how much more a pattern of that period stands out in the outputs than in the targets."""
    power, beside = _spectrum(outputs), _spectrum(targets)
    if power is None or beside is None:
        return 1.0
    strongest = 1.0
    height, width = (side // period for side in power.shape)
    for row, column in ((0, width), (height, 0), (height, width)):
        if 2 * np.sqrt(power[row, column]) >= FAINTEST:
            stands_out = _peak(power, row, column) / max(1.0, _peak(beside, row, column))
            strongest = max(strongest, stands_out)
    return strongest


def _spectrum(pictures: Sequence[Grey]) -> Grey | None:
    """Mean power by frequency, rows and columns; a pattern keeps its place, as an artefact does.

    None for pictures too small to tell.
    """
    height, width = (min(x.shape[axis] for x in pictures) // 16 * 16 for axis in (0, 1))
    if min(height, width) < 64:
        return None
    window = np.outer(np.hanning(height), np.hanning(width))
    window /= window.sum()
    parts = [x[:height, :width] for x in pictures]
    powers = [np.abs(np.fft.fft2((x - x.mean()) * window)) ** 2 for x in parts]
    power: Grey = np.mean(powers, 0)
    return power


def _peak(power: Grey, row: int, column: int) -> float:
    """A frequency's power over the median of those around it, along the axis if it is on one."""
    height, width = power.shape
    reach = [*range(-7, -2), *range(3, 8)]
    if row and column:
        around = [power[(row + i) % height, (column + j) % width] for i in reach for j in reach]
    elif row:
        around = [power[(row + i) % height, 0] for i in reach]
    else:
        around = [power[0, (column + i) % width] for i in reach]
    return float(power[row, column] / max(float(np.median(around)), 1e-12))
