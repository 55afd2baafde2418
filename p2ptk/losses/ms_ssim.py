"""Structural similarity at several scales, as a loss."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from p2ptk.contracts import Translation
from p2ptk.errors import UserError
from p2ptk.metrics.ssim import WINDOW, similarity

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
LEAST = 1e-4  # of a mean similarity: below 0 it has no power


class MSSSIMLoss:
    """1 - MS-SSIM of fake and target (Wang, Simoncelli & Bovik 2003, eq. 7).

    Contrast and structure at each scale, luminance at the coarsest, each the mean over places of
    an 11x11 Gaussian window as in the metric `ssim`, to the power of the paper's weights; then the
    mean over channels and images. Scales are halved by 2x2 means. What is below 1e-4 counts as
    that, without a gradient: pictures that contradict each other have no geometric mean.

    scales: the paper's weights are those of 5, and of fewer are divided by their sum. Images need
        11 * 2^(scales - 1) pixels a side: 176 for 5, 88 for 4, 44 for 3. Raises UserError for
        smaller ones.
    """

    def __init__(self, *, scales: Annotated[int, Field(ge=1, le=5)] = 5) -> None:
        self.weights = [w / sum(WEIGHTS[:scales]) for w in WEIGHTS[:scales]]
        self.smallest = WINDOW * 2 ** (scales - 1)

    def generator(self, t: Translation) -> Tensor:
        x, y = ((image.float() + 1) / 2 for image in (t.fake, t.target))
        self._check(*x.shape[-2:])
        product = torch.ones((), device=x.device)
        for scale, weight in enumerate(self.weights, start=1):
            luminance, structure = similarity(x, y)
            last = scale == len(self.weights)
            value = (luminance * structure if last else structure).mean((-2, -1))
            product = product * value.clamp_min(LEAST) ** weight
            if not last:
                x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
        return 1 - product.mean()

    def _check(self, height: int, width: int) -> None:
        if min(height, width) >= self.smallest:
            return
        fits = [n for n in range(1, 6) if min(height, width) >= WINDOW * 2 ** (n - 1)]
        advice = f"ms-ssim:scales={fits[-1]} would do" if fits else "use larger images"
        raise UserError(
            f"ms-ssim at {len(self.weights)} scales needs images of at least {self.smallest} "
            f"pixels a side, and these have {height}x{width}: {advice}."
        )
