"""Three ways to learn a map of twice the size."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Upsample = Literal["transpose", "resize", "subpixel"]


def upsampler(
    upsample: Upsample, inputs: int, outputs: int, *, bias: bool, kernel: Literal[3, 4] = 4
) -> nn.Module:
    """A layer from N inputs H W to N outputs 2H 2W.

    transpose: a strided transposed convolution of size `kernel`, as in pix2pix. Its neighbouring
        outputs see different taps, from which checkerboards come (Odena et al. 2016).
    resize: nearest neighbours, then a 3x3 convolution: no checkerboard.
    subpixel: a 3x3 convolution to four times the channels, rearranged (Shi et al. 2016).
    """
    match upsample:
        case "transpose":
            return nn.ConvTranspose2d(
                inputs,
                outputs,
                kernel,
                stride=2,
                padding=1,
                output_padding=kernel % 2,
                bias=bias,
            )
        case "resize":
            return ResizeConv2d(inputs, outputs, 3, padding=1, bias=bias)
        case "subpixel":
            return SubpixelConv2d(inputs, 4 * outputs, 3, padding=1, bias=bias)


class ResizeConv2d(nn.Conv2d):
    """Nearest neighbours at twice the size, then a convolution (Odena et al., Distill 2016)."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(F.interpolate(input, scale_factor=2.0, mode="nearest"))


class SubpixelConv2d(nn.Conv2d):
    """A convolution whose every four channels become a 2x2 patch of one (Shi et al. 2016)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.pixel_shuffle(super().forward(input), 2)

    @torch.no_grad()
    def after_init(self) -> None:
        """Start as nearest-neighbour upsampling: ICNR (Aitken et al. 2017, arXiv 1707.02937)."""
        first_of_four = torch.arange(self.out_channels, device=self.weight.device) // 4 * 4
        self.weight.copy_(self.weight[first_of_four])
