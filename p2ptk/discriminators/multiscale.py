"""pix2pixHD's discriminator: one PatchGAN a scale."""

from __future__ import annotations

from typing import Annotated

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from p2ptk.contracts import Judgement
from p2ptk.discriminators.patchgan import PatchGAN, receptive_field
from p2ptk.errors import UserError
from p2ptk.norms import Bias, Norm

POOL = (3, 2)  # kernel and stride between two scales


class Multiscale(nn.Module):
    """PatchGANs of one shape, each on half the size of the one before (Wang et al. 2018, 3.2).

    source and image, N source_channels H W and N target_channels H W -> Judgement of `scales`
    scales, fine to coarse. The pair is halved by 3x3 means whose windows end at the border, so odd
    sizes round up. `receptive_field` is that of the coarsest: 70, 141, 283 pixels at 1, 2, 3
    scales of 3 layers.

    scales: discriminators.
    layers, width, norm, conditional, bias, spectral: of each; see `PatchGAN`.
    """

    def __init__(
        self,
        *,
        source_channels: int,
        target_channels: int,
        scales: Annotated[int, Field(gt=0)] = 3,
        layers: Annotated[int, Field(ge=0)] = 3,
        width: Annotated[int, Field(gt=0)] = 64,
        norm: Norm = "instance",
        conditional: bool = True,
        bias: Bias = "port",
        spectral: bool = False,
    ) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            PatchGAN(
                source_channels=source_channels,
                target_channels=target_channels,
                layers=layers,
                width=width,
                norm=norm,
                conditional=conditional,
                bias=bias,
                spectral=spectral,
            )
            for _ in range(scales)
        )
        each: PatchGAN = self.scales[0]  # type: ignore[assignment]
        self.receptive_field = receptive_field([POOL] * (scales - 1) + each.convolutions)
        self.smallest = (each.smallest - 1) * 2 ** (scales - 1) + 1

    def forward(self, source: Tensor, image: Tensor) -> Judgement:
        height, width = image.shape[-2:]
        if min(height, width) < self.smallest:
            raise UserError(
                f"multiscale can't judge an image of {height}x{width}: {len(self.scales)} scales "
                f"need at least {self.smallest} pixels a side, about half as many with each scale "
                "or layer less."
            )
        judgements = []
        for number, judge in enumerate(self.scales):
            if number:
                source, image = _half(source), _half(image)
            judgements.append(judge(source, image))
        return Judgement(
            logits=tuple(x for judged in judgements for x in judged.logits),
            features=tuple(x for judged in judgements for x in judged.features),
        )


def _half(x: Tensor) -> Tensor:
    kernel, stride = POOL
    return F.avg_pool2d(x, kernel, stride, padding=kernel // 2, count_include_pad=False)
