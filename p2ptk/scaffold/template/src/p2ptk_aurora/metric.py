"""A metric: how good are translations, over a split?"""

from __future__ import annotations

from statistics import fmean
from typing import ClassVar

import torch
from torch import Tensor


class AuroraMetric:
    """Root of an image's mean squared difference, of 0..1; the mean over images.

    In tables: `aurora`.
    """

    higher_is_better: ClassVar[bool] = False

    def __init__(self) -> None:
        # A score an image: p2ptk makes an interval of them, and a column of per_image.csv.
        self.values: dict[str, list[float]] = {"aurora": []}

    @torch.no_grad()
    def update(self, fake: Tensor, target: Tensor, source: Tensor) -> None:
        """fake, target, source: N C H W in [-1, 1]."""
        difference = (fake.clamp(-1, 1) - target).cpu().double() / 2
        scores = difference.square().flatten(1).mean(1).sqrt()
        self.values["aurora"] += scores.tolist()

    def compute(self) -> dict[str, float]:
        return {name: fmean(scores) for name, scores in self.values.items() if scores}
