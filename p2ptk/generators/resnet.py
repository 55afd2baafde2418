"""Residual blocks at a fraction of the size."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise
from typing import Annotated, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from p2ptk.generators.output import Output, to_image
from p2ptk.generators.upsample import Upsample, upsampler
from p2ptk.norms import Bias, Norm, conv_bias, norm_layer

Padding = Literal["reflect", "replicate", "zero"]


class ResNet(nn.Module):
    """Two halvings, residual blocks, two doublings (Johnson et al. 2016, supplement; CycleGAN).

    N source_channels H W -> N target_channels H W, float32. H and W are multiples of
    `size_multiple` = 2^downsamplings, and at least twice that.

    blocks: residual blocks; 6 is usual for 128 pixels, 9 for 256.
    width: channels at full size; doubled at each halving.
    norm: see `p2ptk.norms.norm_layer`.
    dropout: probability, between the two convolutions of a block.
    padding: at the borders, but in the halvings and doublings, which pad with zeros.
    upsample: see `p2ptk.generators.upsample.upsampler`.
    bias: see `p2ptk.norms.conv_bias`.
    output: "tanh" for [-1, 1], "linear" for unbounded values.
    """

    def __init__(
        self,
        *,
        source_channels: int,
        target_channels: int,
        blocks: Annotated[int, Field(ge=0)] = 9,
        width: Annotated[int, Field(gt=0)] = 64,
        norm: Norm = "batch",
        downsamplings: Annotated[int, Field(ge=0, le=16)] = 2,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        padding: Padding = "reflect",
        upsample: Upsample = "transpose",
        bias: Bias = "port",
        output: Output = "tanh",
    ) -> None:
        super().__init__()
        self.output = output
        self.bounded = output == "tanh"
        self.size_multiple = 2**downsamplings
        inner = conv_bias(bias, norm, normed=True)
        widths = [width * 2**level for level in range(downsamplings + 1)]
        self.first = _layer(_conv(source_channels, width, 7, padding, inner), norm, width)
        self.down = nn.ModuleList(
            _layer(nn.Conv2d(fine, coarse, 3, stride=2, padding=1, bias=inner), norm, coarse)
            for fine, coarse in pairwise(widths)
        )
        self.blocks = nn.ModuleList(
            ResidualBlock(widths[-1], norm=norm, bias=inner, dropout=dropout, padding=padding)
            for _ in range(blocks)
        )
        widths.reverse()
        self.up = nn.ModuleList(
            _layer(upsampler(upsample, coarse, fine, bias=inner, kernel=3), norm, fine)
            for coarse, fine in pairwise(widths)
        )
        outer = conv_bias(bias, norm, normed=False, always=True)
        self.last = _conv(width, target_channels, 7, padding, outer)

    def forward(self, source: Tensor) -> Tensor:
        x = self.first(source)
        for layer in (*self.down, *self.blocks, *self.up):
            x = layer(x)
        return to_image(self.last(x), self.output)


class ResidualBlock(nn.Module):
    """x plus two 3x3 convolutions of it, without a ReLU after the sum (Gross & Wilber 2016)."""

    def __init__(
        self, channels: int, *, norm: Norm, bias: bool, dropout: float, padding: Padding
    ) -> None:
        super().__init__()
        self.conv1 = _conv(channels, channels, 3, padding, bias)
        self.norm1 = norm_layer(norm, channels)
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        self.conv2 = _conv(channels, channels, 3, padding, bias)
        self.norm2 = norm_layer(norm, channels)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.norm1(self.conv1(x)), inplace=True)
        return x + self.norm2(self.conv2(self.dropout(h)))


def _conv(inputs: int, outputs: int, kernel: int, padding: Padding, bias: bool) -> nn.Conv2d:
    """A convolution that keeps the size."""
    mode: Literal["reflect", "replicate", "zeros"] = "zeros" if padding == "zero" else padding
    return nn.Conv2d(
        inputs, outputs, kernel, padding=kernel // 2, padding_mode=mode, bias=bias
    )  # fmt: skip


def _layer(conv: nn.Module, norm: Norm, channels: int) -> nn.Sequential:
    """Convolution, norm, ReLU."""
    return nn.Sequential(
        OrderedDict(conv=conv, norm=norm_layer(norm, channels), act=nn.ReLU(inplace=True))
    )
