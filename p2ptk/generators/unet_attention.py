"""The U-Net with self-attention where its maps are small."""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from p2ptk.errors import UserError
from p2ptk.generators.output import Output
from p2ptk.generators.unet import UNet
from p2ptk.generators.upsample import Upsample
from p2ptk.norms import Bias, Norm
from p2ptk.schema import Part
from p2ptk.specs import Spec


class UNetAttention(UNet):
    """The generator `unet` with self-attention in its decoder (Zhang et al. 2019, SAGAN, sec. 3).

    N source_channels H W -> N target_channels H W, float32. H and W are multiples of
    `size_multiple`, as in `unet`. Attention adds nothing at first: it is scaled by a weight that
    starts at 0, so that training begins as the U-Net's.

    attention: at which fractions of the size: [8] is after the up that makes the maps of H/8 W/8,
        32x32 of 256 pixels, where SAGAN's did best. Cost and memory of one grow with the square
        of its map's area. Raises UserError for a fraction that the decoder has no such map of.
    depth, width, norm, dropout, dropout_at, upsample, bias, output, encoder: see `UNet`.
    """

    def __init__(
        self,
        *,
        source_channels: int,
        target_channels: int,
        attention: tuple[Annotated[int, Field(gt=0)], ...] = (8,),
        depth: Annotated[int, Field(ge=2)] = 8,
        width: Annotated[int, Field(gt=0)] = 64,
        norm: Norm = "batch",
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5,
        dropout_at: Literal["port", "paper"] = "port",
        upsample: Upsample = "transpose",
        bias: Bias = "port",
        output: Output = "tanh",
        encoder: Annotated[Spec, Part("encoder")] | None = None,
    ) -> None:
        super().__init__(
            source_channels=source_channels,
            target_channels=target_channels,
            depth=depth,
            width=width,
            norm=norm,
            dropout=dropout,
            dropout_at=dropout_at,
            upsample=upsample,
            bias=bias,
            output=output,
            encoder=encoder,
        )
        # The last up may be the output; it makes maps of the full size, which are too large anyway.
        strides = [self.size_multiple // 2 ** (n + 1) for n in range(len(self.up) - 1)]
        for stride in attention:
            if stride not in strides:
                raise UserError(
                    f"unet-attention has no maps of 1/{stride} of the size in its decoder: choose "
                    f"among {sorted(strides)}."
                )
        for number, stride in enumerate(strides):
            if stride in attention:
                block = SelfAttention(self.made[number])
                layers = OrderedDict(up=self.up[number], attention=block)
                self.up[number] = nn.Sequential(layers)


class SelfAttention(nn.Module):
    """x + gamma * what each place gathers from all others (Zhang et al. 2019, eqs. 1 to 3).

    Query, key and value are 1x1 convolutions to an eighth of the channels, and a fourth one leads
    back. Their products are divided by the root of that number (Vaswani et al. 2017), which SAGAN
    does not. gamma is learnt and starts at 0.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(channels // 8, 1)
        self.query = nn.Conv2d(channels, inner, 1, bias=False)
        self.key = nn.Conv2d(channels, inner, 1, bias=False)
        self.value = nn.Conv2d(channels, inner, 1, bias=False)
        self.back = nn.Conv2d(inner, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        query, key, value = (
            conv(x).flatten(2).transpose(1, 2).unsqueeze(1)  # N 1 HW C/8: one head
            for conv in (self.query, self.key, self.value)
        )
        gathered = F.scaled_dot_product_attention(query, key, value)
        gathered = gathered.squeeze(1).transpose(1, 2).unflatten(2, (height, width))
        return x + self.gamma * self.back(gathered)
