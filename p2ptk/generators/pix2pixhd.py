"""pix2pixHD's global generator."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from p2ptk.generators.output import Output
from p2ptk.generators.resnet import Padding, ResNet
from p2ptk.generators.upsample import Upsample
from p2ptk.norms import Bias, Norm


class Pix2PixHD(ResNet):
    """The global generator G1 (Wang et al. 2018, arXiv 1711.11585, section 3.2 and appendix).

    c7s1-64, d128, d256, d512, d1024, nine R1024, u512, u256, u128, u64, c7s1-3: the generator
    `resnet` with four halvings, so that its blocks see a sixteenth of the size, and instance norm.
    N source_channels H W -> N target_channels H W, float32. H and W are multiples of
    `size_multiple` = 2^downsamplings, and at least twice that. The local enhancer G2 is no part
    of it.

    width: channels at full size, doubled at each halving; 64 has 182 million parameters.
    blocks, norm, downsamplings, padding, upsample, bias, output: see `ResNet`.
    """

    def __init__(
        self,
        *,
        source_channels: int,
        target_channels: int,
        blocks: Annotated[int, Field(ge=0)] = 9,
        width: Annotated[int, Field(gt=0)] = 64,
        norm: Norm = "instance",
        downsamplings: Annotated[int, Field(ge=0)] = 4,
        padding: Padding = "reflect",
        upsample: Upsample = "transpose",
        bias: Bias = "port",
        output: Output = "tanh",
    ) -> None:
        super().__init__(
            source_channels=source_channels,
            target_channels=target_channels,
            blocks=blocks,
            width=width,
            norm=norm,
            downsamplings=downsamplings,
            padding=padding,
            upsample=upsample,
            bias=bias,
            output=output,
        )
