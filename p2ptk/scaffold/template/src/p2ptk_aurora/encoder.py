"""An encoder: from a source image to features of several sizes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn


class AuroraEncoder(nn.Module):
    """Strided convolutions, each normalised.

    In use: `unet:encoder=aurora`.

    N source_channels H W -> `depth` features, fine to coarse: feature i has `channels[i]` channels
    at 1 / `strides[i]` of H and W.

    width: channels of the finest feature; they double from one to the next, up to 8 * width.
    depth: how many features; each has half the size of the one before.
    """

    def __init__(
        self,
        *,
        source_channels: int,
        width: Annotated[int, Field(gt=0)] = 32,
        depth: Annotated[int, Field(ge=1)] = 5,
    ) -> None:
        super().__init__()
        self.channels = tuple(width * min(2**level, 8) for level in range(depth))
        self.strides = tuple(2 ** (level + 1) for level in range(depth))
        inputs = (source_channels, *self.channels[:-1])
        self.levels = nn.ModuleList(map(halve, inputs, self.channels))

    def forward(self, source: Tensor) -> list[Tensor]:
        features = []
        x = source
        for level in self.levels:
            x = level(x)
            features.append(x)
        return features


def halve(inputs: int, outputs: int) -> nn.Module:
    """N inputs H W -> N outputs H/2 W/2; each image is normalised by itself."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 4, stride=2, padding=1),
        nn.GroupNorm(1, outputs),
        nn.LeakyReLU(0.2),
    )
