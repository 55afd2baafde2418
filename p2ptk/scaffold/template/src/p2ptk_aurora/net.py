"""A generator: from a source image to a target image."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn


class AuroraGenerator(nn.Module):
    """Residual blocks at a quarter of the size.

    N source_channels H W -> N target_channels H W in [-1, 1]. H and W are multiples of
    `size_multiple`.

    width: channels at the full size; they double with each halving of the size.
    blocks: residual blocks.
    """

    size_multiple = 4

    def __init__(
        self,
        *,
        source_channels: int,
        target_channels: int,
        width: Annotated[int, Field(gt=0)] = 32,
        blocks: Annotated[int, Field(ge=0)] = 6,
    ) -> None:
        super().__init__()
        self.encode = nn.Sequential(
            *layer(nn.Conv2d(source_channels, width, 7, padding=3)),
            *layer(nn.Conv2d(width, 2 * width, 4, stride=2, padding=1)),
            *layer(nn.Conv2d(2 * width, 4 * width, 4, stride=2, padding=1)),
        )
        self.blocks = nn.Sequential(*(Residual(4 * width) for _ in range(blocks)))
        self.decode = nn.Sequential(
            *layer(nn.ConvTranspose2d(4 * width, 2 * width, 4, stride=2, padding=1)),
            *layer(nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1)),
            nn.Conv2d(width, target_channels, 7, padding=3),
            nn.Tanh(),
        )

    def forward(self, source: Tensor) -> Tensor:
        image: Tensor = self.decode(self.blocks(self.encode(source)))
        return image


class Residual(nn.Module):
    """x + f(x) for N channels H W; f is two convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.change = nn.Sequential(
            *layer(nn.Conv2d(channels, channels, 3, padding=1)),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.change(x)
        return x + change


def layer(convolution: nn.Conv2d | nn.ConvTranspose2d) -> tuple[nn.Module, ...]:
    """A convolution, its normalisation and its activation.

    Each image is normalised by itself, so that its batch-mates make no difference.
    """
    return convolution, nn.GroupNorm(1, convolution.out_channels), nn.ReLU()
