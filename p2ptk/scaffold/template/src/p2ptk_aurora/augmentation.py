"""An augmentation: the same random change to source and target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor


class AuroraTurn:
    """Turns pairs by 180 degrees, for pictures without a top, such as maps.

    probability: share of the pairs that are turned.
    """

    stage: Literal["derive", "data", "judge"] = "data"

    def __init__(self, *, probability: Annotated[float, Field(ge=0, le=1)] = 0.5) -> None:
        self.probability = probability

    def sample(
        self,
        numbers: Sequence[int],
        size: tuple[int, int],
        rng: Callable[[int], torch.Generator],
    ) -> dict[str, Tensor]:
        """Draw for each sample from a generator of its own, so that no batch-mate matters."""
        draws = torch.stack([torch.rand((), generator=rng(number)) for number in numbers])
        return {"turned": draws < self.probability}

    def apply(
        self, source: Tensor, target: Tensor, params: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """What was drawn decides everything: the same `params` give the same change."""
        return self.geometry(source, params), self.geometry(target, params)

    def geometry(self, x: Tensor, params: dict[str, Tensor], nearest: bool = False) -> Tensor:
        """The change for N C H W, masks included. Pixels are moved, so `nearest` has no say."""
        turned = params["turned"][:, None, None, None]
        return torch.where(turned, x.flip(-2, -1), x)
