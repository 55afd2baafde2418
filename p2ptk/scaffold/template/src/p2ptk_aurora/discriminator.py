"""A discriminator: how real does an image look as the translation of a source?"""

from __future__ import annotations

from typing import Annotated

import torch
from p2ptk import Judgement
from pydantic import Field
from torch import Tensor, nn


class AuroraDiscriminator(nn.Module):
    """Judges patches of 46 pixels, with four convolutions.

    source and image, N source_channels H W and N target_channels H W -> Judgement of one scale:
    logits N 1 h w, and the features after each activation. H and W are at least 24.

    width: channels of the first layer; they double from one to the next.
    """

    receptive_field = 46

    def __init__(
        self,
        *,
        source_channels: int,
        target_channels: int,
        width: Annotated[int, Field(gt=0)] = 64,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [
                nn.Sequential(
                    nn.Conv2d(source_channels + target_channels, width, 4, stride=2, padding=1),
                    nn.LeakyReLU(0.2),
                ),
                halve(width, 2 * width),
                halve(2 * width, 4 * width),
            ]
        )
        self.last = nn.Conv2d(4 * width, 1, 4, padding=1)

    def forward(self, source: Tensor, image: Tensor) -> Judgement:
        x = torch.cat([source, image], dim=1)
        features = []
        for layer in self.layers:
            x = layer(x)
            features.append(x)
        # Logits, not probabilities: the losses apply what they need themselves.
        return Judgement(logits=(self.last(x),), features=(tuple(features),))


def halve(inputs: int, outputs: int) -> nn.Module:
    """N inputs H W -> N outputs H/2 W/2."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.LeakyReLU(0.2),
    )
