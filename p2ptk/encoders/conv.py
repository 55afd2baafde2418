"""pix2pix's own encoder, as a feature pyramid."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from p2ptk.norms import Bias, Norm, conv_bias, norm_layer


class ConvEncoder(nn.Module):
    """C64-C128-C256-C512-C512-...: strided 4x4 convolutions (Isola et al. 2017, appendix 6.1.1).

    Takes N source_channels H W and gives `depth` features, fine to coarse: feature i has
    `channels[i]` = width * min(2^i, 8) channels at 1 / `strides[i]` = 1 / 2^(i+1) of H and W.

    The features are those after LeakyReLU, which works in place; only the last has none. The
    decoder's ReLU makes no difference between x and LeakyReLU(x), so this is the skip of the paper.

    width: channels of the first layer.
    norm: between convolutions; neither the first layer nor the bottleneck has one. A bottleneck
        of one pixel would come out as zeros.
    bias: see `p2ptk.norms.conv_bias`.
    """

    def __init__(
        self,
        *,
        source_channels: int,
        depth: Annotated[int, Field(ge=1, le=16)] = 8,
        width: Annotated[int, Field(gt=0)] = 64,
        norm: Norm = "batch",
        bias: Bias = "port",
    ) -> None:
        super().__init__()
        self.channels = tuple(width * min(2**level, 8) for level in range(depth))
        self.strides = tuple(2 ** (level + 1) for level in range(depth))
        self.down = nn.ModuleList()
        inputs = source_channels
        for level, outputs in enumerate(self.channels):
            inner = 0 < level < depth - 1
            self.down.append(
                Down(
                    inputs,
                    outputs,
                    first=level == 0,
                    norm=norm if inner else "none",
                    bias=conv_bias(bias, norm, normed=inner),
                )
            )
            inputs = outputs

    def forward(self, source: Tensor) -> list[Tensor]:
        features = []
        x = source
        for down in self.down:
            x = down(x)
            features.append(x)
        return features


class Down(nn.Module):
    """LeakyReLU (but in the first layer), convolution to half the size, norm."""

    def __init__(self, inputs: int, outputs: int, *, first: bool, norm: Norm, bias: bool) -> None:
        super().__init__()
        self.act = nn.Identity() if first else nn.LeakyReLU(0.2, inplace=True)
        self.conv = nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=bias)
        self.norm = norm_layer(norm, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(self.act(x)))
