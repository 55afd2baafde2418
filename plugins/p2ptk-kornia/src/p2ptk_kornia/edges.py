"""Sources that are the edges of photos: edges to photo, from photos alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from kornia.filters import canny, gaussian_blur2d, sobel, spatial_gradient
from pydantic import Field
from torch import Tensor

from p2ptk import Side, UserError
from p2ptk_kornia.draws import RngOf
from p2ptk_kornia.pictures import luma, unit
from p2ptk_kornia.sides import need_pictures

Lines = Literal["dark", "light"]
Positive = Annotated[float, Field(gt=0, le=100)]


class _Edges:
    """What all have in common: one channel, and nothing drawn at random."""

    stage: Literal["derive", "data", "judge"] = "derive"
    lines: Lines

    def sides(self, source: Side, target: Side) -> None:
        need_pictures("an edge filter", source, "target", "draws the edges of pictures")

    def sample(
        self, numbers: Sequence[int], size: tuple[int, int], rng: RngOf
    ) -> dict[str, Tensor]:
        return {}

    def apply(
        self, source: Tensor, target: Tensor, params: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        strength = self.strength(unit(source)).clamp(0, 1)
        return (1 - 2 * strength if self.lines == "dark" else 2 * strength - 1), target

    def strength(self, x: Tensor) -> Tensor:
        """N C H W in [0, 1] to N 1 H W: 1 on an edge, 0 off it."""
        raise NotImplementedError


class Canny(_Edges):
    """Thin edges, one pixel wide (Canny 1986): the source of a photo in one channel.

    Beside its own, a model of such edges takes drawings: `p2ptk translate MODEL ... --no-derive`.

    low, high: thresholds, of the Sobel gradient (4 where black meets white): an edge begins above
        `high`, and goes on where it is above `low`.
    sigma: of the Gaussian that smooths the photo first, in pixels.
    follow: how far in pixels an edge may go on above `low` alone.
    lines: `dark` on white, as people draw, or `light` on black.
    """

    def __init__(
        self,
        *,
        low: Positive = 0.2,
        high: Positive = 0.5,
        sigma: Positive = 1.0,
        follow: Annotated[int, Field(ge=0, le=1024)] = 16,
        lines: Lines = "dark",
    ) -> None:
        if low > high:
            raise UserError(f"canny: low={low:g} should not be above high={high:g}.")
        self.low, self.high, self.sigma = low, high, sigma
        self.follow, self.lines = follow, lines

    def strength(self, x: Tensor) -> Tensor:
        smooth = _blurred(luma(x), self.sigma)
        # kernel_size 1 blurs nothing: its own blur would need pictures larger than its kernel.
        _, edges = canny(smooth, self.low, self.high, (1, 1), hysteresis=False)
        likely, sure = (edges > 0).to(x.dtype), (edges == 1).to(x.dtype)
        # kornia follows edges to their ends, and looks after each pixel whether it is there: on a
        # GPU the host would wait for every look.
        for _ in range(self.follow):
            sure = F.max_pool2d(sure, 3, 1, 1) * likely
        return sure


class Sobel(_Edges):
    """How steep a photo is at each pixel: its source in one channel.

    gain: what the slope is multiplied by, before it is cut at 1.
    lines: `dark` on white, or `light` on black.
    """

    def __init__(self, *, gain: Positive = 4.0, lines: Lines = "dark") -> None:
        self.gain, self.lines = gain, lines

    def strength(self, x: Tensor) -> Tensor:
        return self.gain * sobel(luma(x))


class SoftEdges(_Edges):
    """Soft edges that several scales agree on: the look of HED (Xie & Tu 2015), without a network.

    Texture, which fine scales alone see, and shading, which coarse ones alone see, are faint.

    gain: how soon edges become full lines.
    lines: `dark` on white, or `light` on black.
    """

    SCALES = (1.0, 2.0, 4.0)  # deviations of Gaussians, in pixels

    def __init__(self, *, gain: Positive = 3.0, lines: Lines = "dark") -> None:
        self.gain, self.lines = gain, lines

    def strength(self, x: Tensor) -> Tensor:
        together = torch.zeros_like(x[:, :1])
        for sigma in self.SCALES:
            slope = spatial_gradient(_blurred(x, sigma)).square().sum(2).sqrt()
            # A step of height 1 has this slope at its middle, whatever the scale.
            height = slope * (sigma * math.sqrt(2 * math.pi))
            together += height.amax(1, keepdim=True).clamp(min=1e-4).log()
        agreed = (together / len(self.SCALES)).exp()
        return 1 - (-self.gain * agreed).exp()


def _blurred(x: Tensor, sigma: float) -> Tensor:
    size = 2 * math.ceil(3 * sigma) + 1
    return gaussian_blur2d(x, (size, size), (sigma, sigma), border_type="replicate")
