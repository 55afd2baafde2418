"""Any timm model as an encoder."""

from __future__ import annotations

import copy
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from p2ptk import UserError, weights_follow
from p2ptk_timm.backbone import Backbone
from p2ptk_timm.names import Model


class TimmEncoder(nn.Module):
    """The features of a timm model, for `unet:encoder=timm(model=resnet34)`.

    N source_channels H W in [-1, 1] -> features N C h w, fine to coarse, with `channels` and
    `strides` as timm has them: of most models five, at 1/2 to 1/32 of the size, but some begin at
    1/1 or 1/4, and plain vision transformers have three, all at 1/16.

    Each feature is divided by a constant: its root mean square on a picture of noise when the
    encoder is built. Pretrained features may be ten times what a decoder expects of its skips.

    The source is normalised as the model's weights want it, whatever its channels (see
    `p2ptk_timm.backbone.Backbone`). The model keeps timm's initial weights, or those loaded:
    p2ptk's `train.init` leaves it alone.

    model: its name; `p2ptk show encoder 'timm:model=res*'` lists some.
    pretrained: begin with the weights that timm's hub has for it.
    weights: begin with those of a file, .safetensors or .pth, or package:NAME. They are a whole
        model's, in timm's names or those of its original release.
    freeze: true: none of it trains, and its batch norm keeps its statistics. A number: only what
        its first so many features are made from.
    levels: which features, by number in rising order; timm's own choice by default. Without the
        coarsest, sizes need to be multiples of less.

    A model file holds the encoder's weights, so that neither `weights` nor a network is needed to
    use it. Raises UserError for a model, weights or levels that are not there, for a model that
    takes only pictures of one size, and for sizes that are no multiples of the coarsest stride.
    """

    sizes: Tensor

    def __init__(
        self,
        *,
        source_channels: int,
        model: Model = "resnet34",
        pretrained: bool = False,
        weights: str | None = None,
        freeze: bool | Annotated[int, Field(gt=0)] = False,
        levels: tuple[Annotated[int, Field(ge=0)], ...] | None = None,
    ) -> None:
        super().__init__()
        self.backbone = Backbone(
            model,
            in_chans=source_channels,
            levels=levels,
            pretrained=pretrained,
            weights=weights,
            freeze=freeze,
        )
        self.channels, self.strides = self.backbone.channels, self.backbone.strides
        if not self.backbone.exact:
            raise UserError(
                f"timm's {model} cuts the borders of its maps, so their sizes are no fractions of "
                "the picture's, as a decoder needs: choose another model."
            )
        self.register_buffer("sizes", torch.ones(len(self.channels)))
        if not (weights_follow() or self.sizes.is_meta):
            self.sizes.copy_(torch.tensor(typical_sizes(self.backbone, source_channels)))

    def forward(self, source: Tensor) -> list[Tensor]:
        height, width = source.shape[-2:]
        if height % self.strides[-1] or width % self.strides[-1]:
            raise UserError(
                f"timm's {self.backbone.model} needs sizes that are multiples of "
                f"{self.strides[-1]}, and {height}x{width} is not."
            )
        features = self.backbone(source)
        return [x / size for x, size in zip(features, self.sizes, strict=True)]


@torch.no_grad()
def typical_sizes(backbone: Backbone, channels: int) -> list[float]:
    """The features' root mean squares on pictures of noise, in training mode."""
    side = 4 * backbone.strides[-1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        # A copy, since statistics move in training.
        features = copy.deepcopy(backbone).train()(noise((2, channels, side, side)))
    return [max(float(x.float().square().mean().sqrt()), 1e-6) for x in features]


def noise(shape: tuple[int, int, int, int]) -> Tensor:
    """Pictures N C H W in [-1, 1] whose spectrum falls as 1/f, as that of photos does."""
    height, width = shape[-2:]
    y, x = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None]
    frequency = torch.hypot(y, x).clamp_min(1 / max(height, width))
    waves = torch.fft.irfft2(torch.fft.rfft2(torch.randn(shape)) / frequency, s=(height, width))
    return (0.5 * waves / waves.std()).clamp(-1, 1)
