"""What networks trained on photos take: three channels of 8 bits."""

from __future__ import annotations

import torch
from torch import Tensor

from p2ptk.errors import UserError
from p2ptk.metrics.per_image import unit_range


def three_channels(image: Tensor, metric: str) -> Tensor:
    """N C H W in [-1, 1] cut to that range, grey repeated. Raises UserError for other channels."""
    if image.shape[1] not in (1, 3):
        raise UserError(
            f"{metric} looks at pictures of 1 or 3 channels, and these have {image.shape[1]}: "
            "use psnr, ssim or l1, or palette-accuracy for labels."
        )
    return image.float().clamp(-1, 1).expand(-1, 3, -1, -1)


@torch.no_grad()
def eight_bits(image: Tensor) -> Tensor:
    """N C H W in [-1, 1] to uint8, rounded, as it is when saved."""
    return (unit_range(image) * 255).round().to(torch.uint8)
