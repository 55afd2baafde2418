"""Peak signal to noise ratio."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from p2ptk.metrics.per_image import PerImage, unit_range


class PSNR(PerImage):
    """`psnr`: -10 log10(MSE) in dB, on [0, 1], of all channels of an image; mean over images.

    The MSE counts as at least 1e-10, so that equal images give 100 dB, not infinity.
    """

    higher_is_better: ClassVar[bool] = True

    def update(self, fake: Tensor, target: Tensor, source: Tensor) -> None:
        """fake, target: N C H W in [-1, 1]."""
        squared = (unit_range(fake) - unit_range(target)).square().flatten(1).mean(1)
        self.add("psnr", -10 * squared.clamp_min(1e-10).log10())
