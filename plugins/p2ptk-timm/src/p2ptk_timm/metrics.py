"""Metrics on the features of timm's models: by the pair, and between sets of pictures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from p2ptk import FeatureDistance
from p2ptk_timm.looks import Colours, Levels, Looks, apart
from p2ptk_timm.names import Model


class PairedDistance:
    """`feature-distance-MODEL`: 2 - 2 cos of fake and target in a timm model's features.

    The cosine of the channels at each place, mean over places, then over levels, then over images:
    LPIPS (Zhang et al. 2018, eq. 1) without its linear weights, on any model. 0 for equal images.

    The value's name holds the model, the levels where they are chosen, and `untrained`, `package`
    or the name of the weights' file where they are not the hub's.

    model: any timm model; `p2ptk show metric 'feature-distance:model=res*'` lists some.
    levels: which of its features, by number in rising order; timm's own choice by default.
    pretrained: with the weights that timm's hub has for it.
    weights: those of a file in place of the hub's, .safetensors or .pth, or package:NAME.
    colours: of pictures that have neither one nor three channels: which three are red, green and
        blue, or which one is grey.

    Raises UserError for a model, weights or levels that are not there.
    """

    higher_is_better: ClassVar[bool] = False

    def __init__(
        self,
        *,
        model: Model = "vgg16",
        levels: Levels = None,
        pretrained: bool = True,
        weights: str | None = None,
        colours: Colours = None,
    ) -> None:
        self.looks = Looks(
            model, levels=levels, pretrained=pretrained, weights=weights, colours=colours
        )
        self.name = "feature-distance-" + _called(model, levels, pretrained, weights)
        self.values: dict[str, list[float]] = {}

    @torch.no_grad()
    def update(self, fake: Tensor, target: Tensor, source: Tensor) -> None:
        """fake, target: N C H W in [-1, 1]."""
        looks = self.looks.to(fake.device)
        levels = [
            apart(x, y, "l2", normalise=True)
            for x, y in zip(looks(fake), looks(target), strict=True)
        ]
        self.values.setdefault(self.name, []).extend(torch.stack(levels).mean(0).tolist())

    def compute(self) -> dict[str, float]:
        """The mean over images; nothing before the first one."""
        return {name: math.fsum(each) / len(each) for name, each in self.values.items()}


def frechet(
    *,
    model: Model = "resnet50",
    level: Annotated[int, Field(ge=0)] | None = None,
    pretrained: bool = True,
    weights: str | None = None,
    colours: Colours = None,
) -> FeatureDistance:
    """`fd-MODEL-256-n106`: Frechet distance of translations and targets in a timm model's features.

    Heusel et al. 2017, eq. 6, on the mean over places of the coarsest feature, of images at their
    own size; with few of them the kernel distance comes as well, `kd-...`. The value's name ends in
    the images' size and number, and holds what else decides the features, as that of
    `feature-distance` does.

    model: any timm model; `p2ptk show metric 'fd:model=res*'` lists some.
    level: which of its features, by number; the coarsest by default.
    pretrained: with the weights that timm's hub has for it.
    weights: those of a file in place of the hub's, .safetensors or .pth, or package:NAME.
    colours: of pictures that have neither one nor three channels: which three are red, green and
        blue, or which one is grey.

    Raises UserError for a model, weights or a level that are not there.
    """
    levels = None if level is None else (level,)
    looks = Looks(model, levels=levels, pretrained=pretrained, weights=weights, colours=colours)

    def pooled(image: Tensor) -> Tensor:
        """N C H W in [-1, 1] -> N D."""
        return looks.to(image.device)(image)[-1].mean((2, 3))

    return FeatureDistance(
        pooled,
        _called(model, levels, pretrained, weights),
        protocol=f"Heusel et al. 2017 on the mean over places of a feature of timm's {model}",
    )


def _called(model: str, levels: Levels, pretrained: bool, weights: str | None) -> str:
    """What decides the features, for the name of a value."""
    parts = [model, *(["levels", *map(str, levels)] if levels is not None else [])]
    if weights is not None:
        parts.append("package" if weights.startswith("package:") else Path(weights).stem)
    elif not pretrained:
        parts.append("untrained")
    return "-".join(parts)
