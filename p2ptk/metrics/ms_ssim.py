"""Structural similarity at several scales."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from p2ptk.errors import UserError
from p2ptk.metrics.per_image import PerImage, unit_range
from p2ptk.metrics.ssim import WINDOW, similarity

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


class MSSSIM(PerImage):
    """`ms-ssim`: Wang, Simoncelli & Bovik 2003, eq. 7, on [0, 1]; mean over images.

    Windows as in `ssim`. A negative mean similarity of a scale counts as 0. Every channel by
    itself, then the mean over channels, as TensorFlow and pytorch-msssim do.

    scales: the paper's weights are those of 5; fewer are divided by their sum, and the value is
        then called `ms-ssim-3`. Images need 11 * 2^(scales - 1) pixels a side: 176 for 5.
    """

    higher_is_better: ClassVar[bool] = True

    def __init__(self, *, scales: Annotated[int, Field(ge=1, le=5)] = 5) -> None:
        super().__init__()
        self.scales = scales
        self.name = "ms-ssim" if scales == 5 else f"ms-ssim-{scales}"

    @torch.no_grad()
    def update(self, fake: Tensor, target: Tensor, source: Tensor) -> None:
        """fake, target: N C H W in [-1, 1]. Raises UserError for images that are too small."""
        need_scales(self.scales, fake.shape[-2], fake.shape[-1])
        scores = multiscale_similarity(unit_range(fake), unit_range(target), self.scales, 0.0)
        self.add(self.name, scores.mean(1))


def multiscale_similarity(x: Tensor, y: Tensor, scales: int, least: float) -> Tensor:
    """x, y: N C H W in [0, 1] -> N C: contrast and structure of each scale, luminance of the last.

    The mean over places of each, to the power of its weight; scales are halved by 2x2 means.
    least: what a mean counts as at least, since below 0 it has no power.
    """
    # All five are used as printed, though their sum is 1.0001.
    total = sum(WEIGHTS[:scales]) if scales < 5 else 1.0
    product = torch.ones(x.shape[:2], dtype=x.dtype, device=x.device)
    for scale, weight in enumerate(WEIGHTS[:scales], start=1):
        luminance, structure = similarity(x, y)
        value = (luminance * structure if scale == scales else structure).mean((-2, -1))
        product = product * value.clamp_min(least) ** (weight / total)
        if scale < scales:
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
    return product


def need_scales(scales: int, height: int, width: int) -> None:
    """Raises UserError where the coarsest scale would not hold one window."""
    smallest = WINDOW * 2 ** (scales - 1)
    if min(height, width) >= smallest:
        return
    fits = [n for n in range(1, 6) if min(height, width) >= WINDOW * 2 ** (n - 1)]
    advice = f"ms-ssim:scales={fits[-1]} would do" if fits else "use larger images"
    raise UserError(
        f"ms-ssim at {scales} scales needs images of at least {smallest} pixels a side, "
        f"and these have {height}x{width}: {advice}."
    )
