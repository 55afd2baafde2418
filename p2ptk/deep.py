"""The deepest convolutions as matrix products, for CPUs.

Where a map has few pixels, a 4x4 convolution of stride 2 is little arithmetic on much weight: a
product of a small matrix with a large one. oneDNN's convolutions reorder the weight first, for each
of forward, gradient by input and gradient by weight; a product reads it as it lies in channels-last
memory. Forward is patches @ weight, or its transpose: pixels @ weight, overlaps added.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function

from p2ptk.device import Precision

# Pixels of the coarser map, over the batch, up to which a product is the faster way; measured with
# 256 to 1024 channels. Products gain less in float32, whose arithmetic takes longer.
MOST_PIXELS = {"fp32": 64, "bf16": 256}
LEAST_WEIGHTS = 2**16  # of a layer; with fewer, calls cost more than products save


class DeepConv2d(nn.Conv2d):
    """nn.Conv2d(kernel 4, stride 2, padding 1), as a product where the result has few pixels."""

    most_pixels: int

    def forward(self, input: Tensor) -> Tensor:
        n, channels, height, width = input.shape
        if height % 2 or width % 2 or n * height * width > 4 * self.most_pixels:
            return super().forward(input)
        weight = self.weight.permute(0, 2, 3, 1).reshape(self.out_channels, 16 * channels)
        y_PC = torch.mm(_Patches.apply(input.permute(0, 2, 3, 1)), weight.t())
        y = y_PC.view(n, height // 2, width // 2, self.out_channels).permute(0, 3, 1, 2)
        return _with_bias(y, self.bias)


class DeepConvTranspose2d(nn.ConvTranspose2d):
    """nn.ConvTranspose2d(kernel 4, stride 2, padding 1), as a product where the input has few
    pixels.
    """

    most_pixels: int

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        n, channels, height, width = input.shape
        if output_size is not None or n * height * width > self.most_pixels:
            return super().forward(input, output_size)
        weight = self.weight.permute(0, 2, 3, 1).reshape(channels, 16 * self.out_channels)
        pixels_PC = input.permute(0, 2, 3, 1).reshape(-1, channels)
        y_BHWC = _Overlaps.apply(torch.mm(pixels_PC, weight), (n, height, width))
        return _with_bias(y_BHWC.permute(0, 3, 1, 2), self.bias)


def as_products(network: nn.Module, precision: Precision) -> None:
    """Let every convolution of a network that can be one be a product where that pays.

    The layers stay the objects they are, with their names, parameters and hooks; only their forward
    is another. Call it once the network is in channels-last memory.
    """
    kinds = {nn.Conv2d: DeepConv2d, nn.ConvTranspose2d: DeepConvTranspose2d}
    layers: list[Any] = [layer for layer in network.modules() if type(layer) in kinds]
    for layer in filter(_halves_or_doubles, layers):
        if layer.weight.numel() >= LEAST_WEIGHTS:
            layer.__class__ = kinds[type(layer)]
            layer.most_pixels = MOST_PIXELS.get(precision.name, 0)


def _halves_or_doubles(conv: Any) -> bool:
    """Whether it is a convolution, or a transposed one, of kernel 4, stride 2 and padding 1."""
    shape = (conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.output_padding)
    plain = conv.groups == 1 and conv.padding_mode == "zeros"
    return plain and shape == ((4, 4), (2, 2), (1, 1), (1, 1), (0, 0))


class _Patches(Function):
    """N H W C -> the 4x4 patches at stride 2 of the map padded by 1: N*H/2*W/2 rows of 16*C."""

    @staticmethod
    def forward(ctx: Any, x_BHWC: Tensor) -> Tensor:
        n, height, width, channels = x_BHWC.shape
        ctx.size = n, height // 2, width // 2
        padded = F.pad(x_BHWC, (0, 0, 1, 1, 1, 1))
        image, row, pixel, _ = padded.stride()
        windows = padded.as_strided(
            (*ctx.size, 4, 4, channels), (image, 2 * row, 2 * pixel, row, pixel, 1)
        )
        return windows.reshape(-1, 16 * channels)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return _Overlaps.apply(grad, ctx.size)


class _Overlaps(Function):
    """The adjoint of `_Patches`: rows of 16*C -> N 2H 2W C, patches added where they overlap.

    A row or column of the result gets two rows or columns of patches: its pixels 2i and 2i + 1,
    counted with the padding, are pixels 0 and 1 of patch i and pixels 2 and 3 of patch i - 1.
    """

    @staticmethod
    def forward(ctx: Any, patches_PK: Tensor, size: tuple[int, int, int]) -> Tensor:
        n, height, width = size
        channels = patches_PK.shape[1] // 16
        split = patches_PK.view(n, height, width, 2, 2, 2, 2, channels)
        padded = patches_PK.new_zeros(n, height + 1, 2, width + 1, 2, channels)
        for down in (0, 1):
            for right in (0, 1):
                part = split[:, :, :, down, :, right].permute(0, 1, 3, 2, 4, 5)
                padded[:, down : down + height, :, right : right + width] += part
        whole = padded.view(n, 2 * height + 2, 2 * width + 2, channels)
        return whole[:, 1:-1, 1:-1].contiguous()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return _Patches.apply(grad), None


def _with_bias(x: Tensor, bias: Tensor | None) -> Tensor:
    return x if bias is None else x + bias.to(x.dtype)[:, None, None]
