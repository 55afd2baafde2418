"""Mean absolute difference."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from p2ptk.metrics.per_image import PerImage, unit_range


class L1(PerImage):
    """`l1`: |fake - target| on [0, 1], mean over an image's values, then over images."""

    higher_is_better: ClassVar[bool] = False

    def update(self, fake: Tensor, target: Tensor, source: Tensor) -> None:
        """fake, target: N C H W in [-1, 1]."""
        difference = unit_range(fake) - unit_range(target)
        self.add("l1", difference.abs().flatten(1).mean(1))
