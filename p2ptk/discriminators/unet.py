"""A discriminator that judges every pixel, and the whole beside it."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from p2ptk.contracts import Judgement
from p2ptk.discriminators.patchgan import Layer
from p2ptk.errors import UserError
from p2ptk.norms import Bias, Norm, conv_bias
from p2ptk.spectral import convolution


class UNetDiscriminator(nn.Module):
    """A U-Net that judges at its bottleneck and at every pixel (Schönfeld et al. 2020, 3.1).

    source and image, N source_channels H W and N target_channels H W -> Judgement of two scales:
    the bottleneck's logits N 1 h w at 1 / 2^layers of the size, with the encoder's features; and
    the decoder's N 1 H W, a logit a pixel, with the decoder's features. H and W are at least
    2 * 2^layers and need not be multiples of anything.

    The paper's encoder ends in one number, BigGAN's; here it is a map, so that any size is judged
    alike. Its residual blocks are a convolution each here, as in PatchGAN. CutMix is no part of it.

    layers: halvings. `receptive_field` is the decoder's, which includes the encoder's.
    width: channels of the first layer; they double at each layer, up to 8 * width.
    norm: see `p2ptk.norms.norm_layer`; neither the first nor the last layers have one.
    conditional: whether the source is judged along with the image, or the image alone.
    bias: see `p2ptk.norms.conv_bias`.
    spectral: spectral norm on every convolution, as in the paper.
    """

    def __init__(
        self,
        *,
        source_channels: int,
        target_channels: int,
        layers: Annotated[int, Field(gt=0)] = 4,
        width: Annotated[int, Field(gt=0)] = 64,
        norm: Norm = "none",
        conditional: bool = True,
        bias: Bias = "port",
        spectral: bool = True,
    ) -> None:
        super().__init__()
        conv2d = convolution(spectral)
        inner = conv_bias(bias, norm, normed=True)
        outer = conv_bias(bias, norm, normed=False, always=True)
        self.conditional = conditional
        self.smallest = 2 * 2**layers  # a norm over one pixel would leave nothing
        self.receptive_field = _field(layers)

        inputs = target_channels + (source_channels if conditional else 0)
        widths = [width * min(2**level, 8) for level in range(layers)]
        self.down = nn.ModuleList()
        for level, outputs in enumerate(widths):
            with_bias = inner if level else outer
            conv = conv2d(inputs, outputs, 4, 2, padding=1, bias=with_bias)
            self.down.append(Layer(conv, norm if level else "none"))
            inputs = outputs
        self.bottom = conv2d(inputs, 1, 3, padding=1, bias=outer)

        # Each up joins what the encoder saw at its size; the last, at full size, joins nothing.
        self.up = nn.ModuleList()
        for level in reversed(range(layers)):
            outputs = widths[max(level - 1, 0)]
            conv = conv2d(inputs, outputs, 3, padding=1, bias=inner)
            self.up.append(Layer(conv, norm))
            inputs = 2 * outputs
        self.last = conv2d(widths[0], 1, 3, padding=1, bias=outer)

    def forward(self, source: Tensor, image: Tensor) -> Judgement:
        height, width = image.shape[-2:]
        if min(height, width) < self.smallest:
            raise UserError(
                f"unet can't judge an image of {height}x{width}: its layers need at least "
                f"{self.smallest} pixels a side, half as many with each layer less."
            )
        x = torch.cat([source, image], dim=1) if self.conditional else image
        seen: list[Tensor] = []
        for down in self.down:
            x = down(x)
            seen.append(x)
        whole = self.bottom(x)

        made: list[Tensor] = []
        skips: list[Tensor | None] = [*reversed(seen[:-1]), None]
        for up, skip in zip(self.up, skips, strict=True):
            # To the skip's own size: halving an odd one had rounded it.
            size = image.shape[-2:] if skip is None else skip.shape[-2:]
            x = up(F.interpolate(x, size=size, mode="nearest"))
            made.append(x)
            x = x if skip is None else torch.cat([x, skip], dim=1)
        return Judgement(logits=(whole, self.last(x)), features=(tuple(seen), tuple(made)))


def _field(layers: int) -> int:
    """Most pixels a side that a decoder's logit sees, where the halvings leave nothing over.

    A 3x3 convolution adds 2 to a stretch of places; doubled places that touch n are n // 2 + 1.
    """
    stretch = 1 + 2  # the last convolution
    for _ in range(layers):
        stretch = (stretch + 2) // 2 + 1
    for _ in range(layers):
        stretch = (stretch - 1) * 2 + 4
    return stretch
