"""A loss: what the generator is to make small."""

from __future__ import annotations

from typing import Annotated

import torch.nn.functional as F
from p2ptk import Translation
from pydantic import Field
from torch import Tensor


class AuroraLoss:
    """Mean absolute difference between translation and target, at several scales.

    A loss has `generator`, `discriminator`, or both. p2ptk multiplies by the weight that the user
    gives, so there is no such parameter here.

    scales: how many; each has half the size of the one before.
    """

    def __init__(self, *, scales: Annotated[int, Field(ge=1)] = 3) -> None:
        self.scales = scales

    def generator(self, t: Translation) -> Tensor:
        difference = (t.fake - t.target).float()
        total = difference.abs().mean()
        for _ in range(self.scales - 1):
            # The mean is linear: the difference of halved images is the halved difference.
            difference = F.avg_pool2d(difference, 2, ceil_mode=True)
            total = total + difference.abs().mean()
        return total / self.scales
