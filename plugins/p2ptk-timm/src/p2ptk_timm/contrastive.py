"""Contrast of patches in features as a loss."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from p2ptk import Translation
from p2ptk_timm.looks import Colours, Levels, Looks
from p2ptk_timm.names import Model


class ContrastiveFeaturesLoss(nn.Module):
    """Of all patches of the target, a patch of the fake should be most like its own.

    This is PatchNCE (Park et al. 2020, arXiv 2007.15651, section 3) set between the fake and the
    target of a pair in place of fake and source, as Andonian et al. 2021 do:

        L = 1/S sum_s  mean over n and i of  -log( exp(q_i . k_i / T) / sum_j exp(q_i . k_j / T) )

    At level s, i and j run over the same `patches` random places of one picture; q_i and k_i are
    the feature of the fake and of the target at place i, projected, scaled to length 1. T is the
    temperature. Negatives come from the same picture only. The target's side carries no gradient.

    Fake and target are N C H W in [-1, 1]. A chance guess gives log(patches), 5.5 for 256.

    model: a frozen timm model; `p2ptk show loss 'contrastive-features:model=vgg*'` lists some.
    levels: which of its features, by number in rising order; timm's own choice by default.
    pretrained: with the weights that timm's hub has for it.
    weights: those of a file in place of the hub's, .safetensors or .pth, or package:NAME.
    patches: places a level, or all where a level has fewer; drawn anew each step.
    temperature: T.
    project: 0 compares the features as they are. Above 0, two layers of that width for each level
        project them first, as in the paper; they train with the generator.
    colours: of pictures that have neither one nor three channels: which three are red, green and
        blue, or which one is grey.

    Raises UserError for a model, weights or levels that are not there.
    """

    def __init__(
        self,
        *,
        model: Model = "vgg16",
        levels: Levels = None,
        pretrained: bool = True,
        weights: str | None = None,
        patches: Annotated[int, Field(ge=2)] = 256,
        temperature: Annotated[float, Field(gt=0)] = 0.07,
        project: Annotated[int, Field(ge=0)] = 0,
        colours: Colours = None,
    ) -> None:
        super().__init__()
        self.looks = Looks(
            model, levels=levels, pretrained=pretrained, weights=weights, colours=colours
        )
        self.patches, self.temperature = patches, temperature
        self.trainable = "generator" if project else None
        self.projections = nn.ModuleList(
            nn.Sequential(nn.Linear(channels, project), nn.ReLU(), nn.Linear(project, project))
            if project
            else nn.Identity()
            for channels in self.looks.backbone.channels
        )

    def generator(self, t: Translation) -> Tensor:
        with torch.no_grad():
            wanted = self.looks(t.target)
        levels = []
        for made, want, project in zip(self.looks(t.fake), wanted, self.projections, strict=True):
            places = torch.randperm(made[0, 0].numel(), generator=t.rng)[: self.patches]
            query, key = (
                F.normalize(project(x.flatten(2)[:, :, places.to(x.device)].mT), dim=-1)
                for x in (made, want)
            )  # N places channels
            likeness = query @ key.detach().mT / self.temperature
            own = torch.arange(len(places), device=likeness.device).repeat(len(likeness))
            levels.append(F.cross_entropy(likeness.flatten(0, 1), own))
        return torch.stack(levels).mean()
