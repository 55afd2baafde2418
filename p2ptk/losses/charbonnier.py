"""A smooth L1."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor

from p2ptk.contracts import Translation


class CharbonnierLoss:
    """sqrt((fake - target)^2 + eps^2), mean over all values (Charbonnier et al. 1994).

    eps: where the square turns into the absolute difference; 1e-3 as in LapSRN (Lai et al. 2017).
        It is also the least value of the loss.
    """

    def __init__(self, *, eps: Annotated[float, Field(gt=0)] = 1e-3) -> None:
        self.eps = eps

    def generator(self, t: Translation) -> Tensor:
        difference = t.fake.float() - t.target.float()
        return (difference.square() + self.eps**2).sqrt().mean()
