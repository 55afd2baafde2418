"""pix2pix's discriminator of patches."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from p2ptk.contracts import Judgement
from p2ptk.errors import UserError
from p2ptk.norms import Bias, Norm, conv_bias, norm_layer
from p2ptk.spectral import convolution


class PatchGAN(nn.Module):
    """Judges every patch of `receptive_field` pixels (Isola et al. 2017, sections 3.2.2, 6.1.2).

    source and image, N source_channels H W and N target_channels H W -> Judgement of one scale:
    logits N 1 h w, and the features after each LeakyReLU. H and W are at least 3 * 2^layers.

    layers: strided convolutions; two of stride 1 follow. 0, 1, 2, 3, 4, 5, 6 give receptive fields
        of 1, 16, 34, 70, 142, 286, 574 pixels; 0 is the PixelGAN, of 1x1 convolutions.
    width: channels of the first layer; they double at each layer, up to 8 * width.
    norm: see `p2ptk.norms.norm_layer`; neither the first nor the last layer has one.
    conditional: whether the source is judged along with the image, or the image alone.
    bias: see `p2ptk.norms.conv_bias`.
    spectral: spectral norm on every convolution, beside or in place of `norm`; see
        `p2ptk.spectral.SpectralConv2d`.
    """

    def __init__(
        self,
        *,
        source_channels: int,
        target_channels: int,
        layers: Annotated[int, Field(ge=0)] = 3,
        width: Annotated[int, Field(gt=0)] = 64,
        norm: Norm = "batch",
        conditional: bool = True,
        bias: Bias = "port",
        spectral: bool = False,
    ) -> None:
        super().__init__()
        conv2d = convolution(spectral)
        self.conditional = conditional
        kernel, strides = (4, [*[2] * layers, 1]) if layers else (1, [1, 1])
        self.convolutions = [*((kernel, stride) for stride in strides), (kernel, 1)]
        self.receptive_field = receptive_field(self.convolutions)
        self.smallest = 3 * 2**layers if layers else 1

        inputs = target_channels + (source_channels if conditional else 0)
        self.layers = nn.ModuleList()
        for number, stride in enumerate(strides):
            outputs = width * min(2**number, 8)
            first = number == 0
            conv = conv2d(
                inputs,
                outputs,
                kernel,
                stride,
                padding=kernel // 4,
                bias=conv_bias(bias, norm, normed=not first, always=first),
            )
            self.layers.append(Layer(conv, "none" if first else norm))
            inputs = outputs
        # The port's PixelGAN gives its last layer a bias only under instance norm.
        last = conv_bias(bias, norm, normed=False, always=layers > 0)
        self.last = conv2d(inputs, 1, kernel, padding=kernel // 4, bias=last)

    def forward(self, source: Tensor, image: Tensor) -> Judgement:
        height, width = image.shape[-2:]
        if min(height, width) < self.smallest:
            raise UserError(
                f"patchgan can't judge an image of {height}x{width}: its layers need at least "
                f"{self.smallest} pixels a side, half as many with each layer less."
            )
        x = torch.cat([source, image], dim=1) if self.conditional else image
        features = []
        for layer in self.layers:
            x = layer(x)
            features.append(x)
        return Judgement(logits=(self.last(x),), features=(tuple(features),))


class Layer(nn.Module):
    """Convolution, norm, LeakyReLU."""

    def __init__(self, conv: nn.Conv2d, norm: Norm) -> None:
        super().__init__()
        self.conv = conv
        self.norm = norm_layer(norm, conv.out_channels)
        self.act = nn.LeakyReLU(0.2, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(self.conv(x)))


def receptive_field(convolutions: list[tuple[int, int]]) -> int:
    """Pixels a side that one output sees through convolutions of (kernel, stride), first to last.

    >>> receptive_field([(4, 2), (4, 2), (4, 2), (4, 1), (4, 1)])
    70
    """
    field = 1
    for kernel, stride in reversed(convolutions):
        field = (field - 1) * stride + kernel
    return field
