"""Line plots and sparklines of text: a cell of braille holds 2 x 4 dots."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Cells = list[list[tuple[str, int]]]  # rows of (character, number of the line in front; -1 is none)

# Bits of the dots of a cell from top to bottom, left and right column (Unicode, block 2800).
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_BARS = "▁▂▃▄▅▆▇█"


def plot(
    steps: Values, lines: Sequence[Values], width: int, height: int
) -> tuple[Cells, float, float]:
    """Lines over steps as `height` rows of `width` cells, and the values at bottom and top.

    Where more values than dots fall on a column it spans them all, so that peaks stay; what is not
    finite is left out. Of lines that meet in a cell the later ones are in front.
    """
    finite = [line[np.isfinite(line)] for line in lines]
    together = np.concatenate(finite) if finite else np.empty(0)
    low, high = (float(together.min()), float(together.max())) if len(together) else (0.0, 1.0)
    bits = np.zeros((height, width), int)
    front = np.full((height, width), -1)
    for number, line in enumerate(lines):
        for column, first, last in _spans(steps, line, width * 2, height * 4, (low, high)):
            for dot in range(first, last + 1):
                at = height * 4 - 1 - dot
                bits[at // 4, column // 2] |= _DOTS[at % 4][column % 2]
                front[at // 4, column // 2] = number
    cells = [
        [(chr(0x2800 + int(b)), int(f)) for b, f in zip(*row, strict=True)]
        for row in zip(bits, front, strict=True)
    ]
    return cells, low, high


def sparkline(values: Sequence[float], width: int) -> str:
    """The last `width` finite values as bars."""
    shown = [value for value in values if math.isfinite(value)][-width:]
    if not shown:
        return ""
    low, span = min(shown), max(shown) - min(shown)
    if not span:
        return _BARS[3] * len(shown)
    return "".join(_BARS[round((value - low) / span * (len(_BARS) - 1))] for value in shown)


def number(value: float) -> str:
    """A value in few letters: 12.3, 0.00012 as 1.2e-04."""
    if not math.isfinite(value):
        return "?"
    return f"{value:.3g}" if value == 0 or 1e-3 <= abs(value) < 1e6 else f"{value:.1e}"


def last_of(values: Values) -> float | None:
    """The newest finite value."""
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if len(finite) else None


def _spans(
    steps: Values,
    line: Values,
    columns: int,
    rows: int,
    ends: tuple[float, float],
) -> list[tuple[int, int, int]]:
    """Per column the lowest and highest dot: of the values in it, and of the way to its neighbours.

    Steps must not fall.
    """
    keep = np.isfinite(line) & np.isfinite(steps)
    if not keep.any():
        return []
    low, high = ends
    dots = np.full(int(keep.sum()), (rows - 1) / 2)
    if high > low:
        dots = (line[keep] - low) / (high - low) * (rows - 1)
    first, last = float(np.nanmin(steps)), float(np.nanmax(steps))
    share = (steps[keep] - first) / (last - first) if last > first else np.zeros(len(dots))
    places = share * (columns - 1)
    borders = np.interp(np.arange(columns + 1) - 0.5, places, dots)
    spans = []
    nearest = np.rint(places).astype(int)
    for column in range(int(nearest[0]), int(nearest[-1]) + 1):
        inside = dots[nearest == column]
        reached = np.concatenate([borders[column : column + 2], inside])
        bottom, top = float(reached.min()), float(reached.max())
        whole = math.ceil(bottom - 1e-6), math.floor(top + 1e-6)  # dots it passes, if it does
        middle = round((bottom + top) / 2)
        spans.append((column, *(whole if whole[0] <= whole[1] else (middle, middle))))
    return spans
