"""Pictures between p2ptk's [-1, 1] and kornia's [0, 1], and as grey."""

from __future__ import annotations

from torch import Tensor

LUMA = (0.299, 0.587, 0.114)  # Rec. 601, of red, green and blue


def unit(x: Tensor) -> Tensor:
    """[-1, 1] to [0, 1]."""
    return (x + 1) / 2


def luma(x: Tensor) -> Tensor:
    """N C H W to N 1 H W: of three channels how bright they look, of others the mean."""
    if x.shape[1] != 3:
        return x.mean(1, keepdim=True)
    red, green, blue = x.split(1, 1)
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
