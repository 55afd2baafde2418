"""How much several translations of one source differ."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from p2ptk.metrics.lpips import Net, perceptual
from p2ptk.metrics.per_image import PerImage, unit_range


class Diversity(PerImage):
    """`diversity-l1-s4`: mean distance of all pairs of, here, 4 translations of a source.

    Each is drawn with noise of its own, which the model must have (dropout kept on at test time);
    mean over sources. High says that the noise is used, not that the pictures are good.

    distance: "l1" on [0, 1], or "lpips" (as Zhu et al. 2017, BicycleGAN, section 5).
    samples: translations of each source.
    net, weights: of lpips; see that metric.
    """

    higher_is_better: ClassVar[bool] = True

    def __init__(
        self,
        *,
        distance: Literal["l1", "lpips"] = "l1",
        samples: Annotated[int, Field(ge=2)] = 4,
        net: Net = "alex",
        weights: Path | None = None,
    ) -> None:
        super().__init__()
        self.samples = samples
        word = "l1" if distance == "l1" else f"lpips-{net}"
        self.name = f"diversity-{word}-s{samples}"
        self.distance: Callable[[Tensor, Tensor], Tensor] = (
            _l1 if distance == "l1" else perceptual(net, weights, "diversity:distance=lpips")
        )

    def update_samples(self, fakes: Tensor, target: Tensor, source: Tensor) -> None:
        """fakes: S N C H W in [-1, 1], S translations of each of N sources."""
        distances = [self.distance(one, other) for one, other in combinations(fakes, 2)]
        self.add(self.name, torch.stack(distances).mean(0))


def _l1(x: Tensor, y: Tensor) -> Tensor:
    return (unit_range(x) - unit_range(y)).abs().flatten(1).mean(1)
