"""What a decoder on a feature pyramid is made of."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from p2ptk.contracts import Encoder
from p2ptk.errors import UserError
from p2ptk.generators.upsample import Upsample, upsampler
from p2ptk.norms import Norm, norm_layer


class Up(nn.Module):
    """ReLU, twice the size, norm, dropout: N inputs H W -> N outputs 2H 2W.

    inplace: whether the ReLU may overwrite its input.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        upsample: Upsample,
        norm: Norm,
        bias: bool,
        dropout: float = 0.0,
        inplace: bool = True,
    ) -> None:
        super().__init__()
        self.act = nn.ReLU(inplace=inplace)
        self.conv = upsampler(upsample, inputs, outputs, bias=bias)
        self.norm = norm_layer(norm, outputs)
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.norm(self.conv(self.act(x))))


def features_at(encoder: Encoder) -> dict[int, list[int]]:
    """Which of an encoder's features have a stride: stride -> their places, fine to coarse.

    Raises UserError where a decoder that doubles the size step by step can't reach them.
    """
    strides = list(encoder.strides)
    powers_of_two = all(stride > 0 and stride.bit_count() == 1 for stride in strides)
    if not powers_of_two or strides != sorted(strides) or max(strides, default=1) < 2:
        raise UserError(
            f"{type(encoder).__name__} has features at strides {strides}: a decoder needs powers "
            "of two from fine to coarse, the last at least 2, such as [2, 4, 8, 16, 32]."
        )
    return {s: [i for i, stride in enumerate(strides) if stride == s] for s in strides}


def concatenate(maps: Sequence[Tensor]) -> Tensor:
    """Maps of one size side by side; a single one as it is."""
    return torch.cat(list(maps), dim=1) if len(maps) > 1 else maps[0]
