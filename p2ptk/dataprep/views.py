"""Sides of pairs as pictures of 8 bits, for a person's eye and for comparisons."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from p2ptk.contracts import Side
from p2ptk.pairs.pixels import normalise
from p2ptk.report.sheets import palette, show

Pixels = NDArray[np.uint8]
Array = NDArray[np.float32]


def as_trained(x: Tensor, side: Side) -> Pixels:
    """A side C H W as the networks see it: uint8 H W 3, cut to the side's range."""
    if side.kind == "labels":
        colours = np.array(side.palette or palette(side.depth or 1), np.uint8)
        return colours[x[0].numpy().astype(np.int64)]
    if x.is_floating_point() and side.range is None:
        return as_contrast(x, side)
    return show(normalise(x, side), side)


def as_contrast(x: Tensor, side: Side) -> Pixels:
    """A side C H W as what is in it shows best: uint8 H W 3.

    8-bit images and labels are as they are; others are stretched from their least value to their
    largest, since 12-bit data in a 16-bit file would be black.
    """
    if side.kind == "labels":
        return as_trained(x, side)
    if x.element_size() == 1:
        colours = x if len(x) == 3 else x[:3] if len(x) > 3 else x[:1].expand(3, -1, -1)
        return np.ascontiguousarray(colours.numpy().transpose(1, 2, 0))
    values: NDArray[Any] = x.numpy().astype(np.float32)
    low, high = float(values.min()), float(values.max())
    scaled = x.float().sub(low).div(max(high - low, 1e-12))
    return show(scaled * 2 - 1, Side())
