"""Structural similarity."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from p2ptk.errors import UserError
from p2ptk.metrics.per_image import PerImage, unit_range

WINDOW = 11
SIGMA = 1.5
C1, C2 = 0.01**2, 0.03**2


class SSIM(PerImage):
    """`ssim`: Wang et al. 2004, eq. 13, on [0, 1]; mean over images.

    An 11x11 Gaussian window of sigma 1.5, population variance, C1 = 0.01^2, C2 = 0.03^2; every
    channel by itself, then the mean over channels and places.

    border: "none" takes whole windows only, as the authors' code does; "reflect" continues the
        image first, as torchmetrics does, and its value is called `ssim-reflect`.
    """

    higher_is_better: ClassVar[bool] = True

    def __init__(self, *, border: Literal["none", "reflect"] = "none") -> None:
        super().__init__()
        self.border = border

    @torch.no_grad()
    def update(self, fake: Tensor, target: Tensor, source: Tensor) -> None:
        """fake, target: N C H W in [-1, 1].

        Raises UserError for images smaller than the window.
        """
        height, width = fake.shape[-2:]
        if min(height, width) < WINDOW:
            raise UserError(
                f"ssim compares windows of {WINDOW}x{WINDOW} pixels, but an image has "
                f"{height}x{width}: use larger images, or the metrics psnr and l1."
            )
        x, y = unit_range(fake), unit_range(target)
        if self.border == "reflect":
            x, y = (F.pad(image, [WINDOW // 2] * 4, mode="reflect") for image in (x, y))
        luminance, structure = similarity(x, y)
        name = "ssim-reflect" if self.border == "reflect" else "ssim"
        self.add(name, (luminance * structure).flatten(1).mean(1))


def similarity(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Luminance, and contrast with structure, at every whole window (Wang et al. 2004, section 3).

    x, y: N C H W in [0, 1], at least the window in size -> two N C H-10 W-10, whose product is
    SSIM. It can be differentiated.
    """
    mean_x, mean_y, xx, yy, xy = _blur(torch.stack([x, y, x * x, y * y, x * y]))
    variance_x, variance_y = xx - mean_x**2, yy - mean_y**2
    covariance = xy - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    structure = (2 * covariance + C2) / (variance_x + variance_y + C2)
    return luminance, structure


def _blur(maps: Tensor) -> Tensor:
    """Gaussian means of ... H W over whole windows: ... H-10 W-10."""
    place = torch.arange(WINDOW, dtype=maps.dtype, device=maps.device) - WINDOW // 2
    weights = torch.exp(-(place**2) / (2 * SIGMA**2))
    weights = weights / weights.sum()
    flat = maps.flatten(0, -3).unsqueeze(1)
    flat = F.conv2d(F.conv2d(flat, weights.view(1, 1, -1, 1)), weights.view(1, 1, 1, -1))
    return flat.view(*maps.shape[:-2], *flat.shape[-2:])
