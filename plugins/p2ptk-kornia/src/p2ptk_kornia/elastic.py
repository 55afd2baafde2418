"""Both sides bent alike by a smooth random field of shifts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from kornia.filters import get_gaussian_kernel1d
from pydantic import Field
from torch import Tensor

from p2ptk_kornia.draws import RngOf, drawn, normal, uniform
from p2ptk_kornia.geometry import sampled
from p2ptk_kornia.sides import Padding, Resampled

CELLS = 2  # of the coarse grid to one `smooth`
REACH = 3 * CELLS  # of the Gaussian's kernel to either side


class Elastic(Resampled):
    """Bend both sides alike: random shifts, smoothed by a Gaussian (Simard et al. 2003).

    The shifts are drawn on a grid of `smooth` / 2 and interpolated, which changes little: a field
    that smooth has no finer detail.

    amount: the shifts' standard deviation, as a share of the shorter side.
    smooth: the Gaussian's, as a share of the shorter side. Below twice the amount pictures fold.
    p: the share of samples that are changed.
    padding: what comes in from outside: `reflection`, `border` or `zeros`.
    """

    stage: Literal["derive", "data", "judge"] = "data"

    def __init__(
        self,
        *,
        amount: Annotated[float, Field(ge=0, le=0.5)] = 0.01,
        smooth: Annotated[float, Field(gt=0, le=1)] = 0.1,
        p: Annotated[float, Field(ge=0, le=1)] = 1.0,
        padding: Padding = "reflection",
    ) -> None:
        self.amount, self.smooth, self.p, self.padding = amount, smooth, p, padding

    def sample(
        self, numbers: Sequence[int], size: tuple[int, int], rng: RngOf
    ) -> dict[str, Tensor]:
        """Shifts N 2 h w of x and y on a coarse grid, in [-1, 1]'s units."""
        short = min(size)
        cell = max(1.0, self.smooth * short / CELLS)
        grid = [math.ceil(n / cell) + 1 + 2 * REACH for n in size]
        kernel = get_gaussian_kernel1d(2 * REACH + 1, float(CELLS), dtype=torch.float64)[0]
        # White noise under a kernel has the root of the kernel's sum of squares as deviation.
        kernel = kernel / kernel.square().sum().sqrt()
        units = [2 * self.amount * short / max(n - 1, 1) for n in (size[1], size[0])]
        scale = torch.tensor(units, dtype=torch.float64)[:, None, None]

        def draw(generator: torch.Generator) -> dict[str, Tensor]:
            changed = uniform(generator, 0, 1) < self.p
            noise = normal(generator, 2, 1, *grid)
            smooth = F.conv2d(
                F.conv2d(noise, kernel[None, None, None]), kernel[None, None, :, None]
            )
            return {"shift": (smooth[:, 0] * scale * changed).float()}

        return drawn(numbers, rng, draw)

    def apply(
        self, source: Tensor, target: Tensor, params: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        return self.moved(source, target, params)

    def geometry(self, x: Tensor, params: dict[str, Tensor], nearest: bool = False) -> Tensor:
        """N C H W bent; interpolated, or by nearest neighbour."""
        height, width = x.shape[-2:]
        shift = F.interpolate(
            params["shift"].to(x.dtype), (height, width), mode="bicubic", align_corners=True
        )
        along = [torch.linspace(-1, 1, n, device=x.device, dtype=x.dtype) for n in (width, height)]
        places = shift[:, 0] + along[0], shift[:, 1] + along[1][:, None]
        return sampled(x, *places, nearest, self.padding)
