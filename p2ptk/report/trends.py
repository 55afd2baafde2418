"""Courses of a log: validation values by step, and whether they turned while training went on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Rows = Sequence[Mapping[str, Any]]
Curve = tuple[Sequence[tuple[int, float]], int]

SLIPPED = 0.25  # of the best gain on validation, lost again
FELL = 0.03  # of the training distance, by which it went on falling meanwhile

# Values of validation whose direction is known by their names.
HIGHER = ("psnr", "ssim", "ms-ssim", "fcn", "palette-accuracy", "precision", "recall")
LOWER = ("l1", "lpips", "fid", "kid", "fd-")

# D's loss on an image when all it can do is guess. A critic's has no such value.
CHANCE = {"vanilla": math.log(2), "lsgan": 0.25, "hinge": 1.0}
MARGIN = 4.0  # of rpgan's mean margin, where D's loss is below 2 % of chance


def slipped(rows: Rows, distances: Sequence[tuple[int, float]]) -> tuple[str, int] | None:
    """What became worse on validation while training went on, and the step when it was best.

    distances: (step, mean |output - target|) of the shown pairs, for runs without evaluations.
    """
    curves: dict[str, Curve] = validated(rows) or {
        "the distance to the shown targets": (distances, -1)
    }
    for name, (points, sign) in curves.items():
        if len(points) < 4:
            continue
        values = [sign * value for _, value in points]
        best = max(range(len(values)), key=values.__getitem__)
        gain, lost = values[best] - values[0], values[best] - float(np.median(values[-2:]))
        step = points[best][0]
        late = best <= 0.7 * (len(values) - 1)
        if late and lost > SLIPPED * max(gain, 1e-9) and gain > 0 and _still_fell(rows, step):
            return name, step
    return None


def validated(rows: Rows) -> dict[str, Curve]:
    """Validation values whose direction is known: points by step, and 1 where higher is better."""
    names = dict.fromkeys(n for row in rows for n in row if n.startswith("val_"))
    found: dict[str, Curve] = {}
    for name in names:
        bare = name.removeprefix("val_")
        sign = 1 if bare.startswith(HIGHER) else -1 if bare.startswith(LOWER) else 0
        points = [(r["step"], float(r[name])) for r in rows if isinstance(r.get(name), int | float)]
        if sign:
            found[bare] = (points, sign)
    return found


def _still_fell(rows: Rows, step: int) -> bool:
    """Whether G's losses of distance went on falling after a step."""
    names = [n for n in rows[-1] if n.startswith("g_") and n not in ("g_gan", "g_loss")]
    for name in names:
        after = finite([row for row in rows if row.get("step", 0) >= step], name)
        edge = max(1, len(after) // 4)
        if len(after) >= 4 and np.mean(after[-edge:]) < (1 - FELL) * np.mean(after[:edge]):
            return True
    return False


def finite(rows: Rows, name: str) -> list[float]:
    """The numbers logged under a name."""
    return [row[name] for row in rows if isinstance(row.get(name), int | float)]


def share_of_chance(rows: Rows, mode: str) -> float | None:
    """D's loss over what guessing would give; None where that has no meaning."""
    if mode == "rpgan":
        margins = finite(rows, "d_margin")
        # The loss at a margin m over that at 0.
        return float(np.log1p(np.exp(-np.mean(margins))) / math.log(2)) if margins else None
    both = [*finite(rows, "d_real"), *finite(rows, "d_fake")]
    return float(np.mean(both)) / CHANCE[mode] if both and mode in CHANCE else None
