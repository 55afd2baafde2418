"""Structural similarity at several scales, as a loss."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor

from p2ptk.contracts import Translation
from p2ptk.metrics.ms_ssim import multiscale_similarity, need_scales

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
        self.scales = scales

    def generator(self, t: Translation) -> Tensor:
        x, y = ((image.float() + 1) / 2 for image in (t.fake, t.target))
        need_scales(self.scales, x.shape[-2], x.shape[-1])
        return 1 - multiscale_similarity(x, y, self.scales, LEAST).mean()
