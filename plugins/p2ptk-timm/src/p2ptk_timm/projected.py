"""A discriminator on the mixed features of a frozen model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from p2ptk import Judgement, UserError
from p2ptk_timm.backbone import Backbone
from p2ptk_timm.looks import Levels
from p2ptk_timm.names import Model
from p2ptk_timm.sight import Span, pixels_of

FINEST = 4  # stride of the finest level that is judged by default


class Projected(nn.Module):
    """Small discriminators on projected features of a frozen model (Sauer et al. 2021).

    source and image, N source_channels H W and N target_channels H W in [-1, 1] -> Judgement with
    one scale a level: logits N 1 h w, all at the coarsest stride, and the features after each
    LeakyReLU. H and W are at least twice the coarsest stride.

    The model's features f_1 .. f_L, fine to coarse, are projected by fixed random convolutions
    (section 3.2): y_l = CCM_l(f_l), 1x1, mixes channels; z_L = y_L and below it
    z_l = y_l + up(CSM_l(z_l+1)), 3x3 and bilinear, mixes scales. One head judges each z_l:
    spectrally normalised convolutions, halving down to the coarsest stride.

    Unlike the paper's, which judge an image alone, each head sees z_l of the source beside that of
    the image, both from the same model, and begins with a layer that mixes the two.

    What trains are the heads. The model and the projections do not, and p2ptk's `train.init` leaves
    them alone; checkpoints hold them.

    model: any timm model; the paper's code has tf_efficientnet_lite0.
    levels: which of its features, by number in rising order; by default those from stride 4 on.
    pretrained: with the weights that timm's hub has for it. Without any, it projects at random.
    weights: those of a file in place of the hub's, .safetensors or .pth, or package:NAME.
    width: channels of y_1; they double with each level, up to 8 * width.
    norm: batch norm in the heads, as in the paper, or none.
    conditional: whether the source is judged along with the image, or the image alone.

    Raises UserError for a model, weights or levels that are not there.
    """

    def __init__(
        self,
        *,
        source_channels: int,
        target_channels: int,
        model: Model = "tf_efficientnet_lite0",
        levels: Levels = None,
        pretrained: bool = True,
        weights: str | None = None,
        width: Annotated[int, Field(gt=0)] = 64,
        norm: Literal["batch", "none"] = "batch",
        conditional: bool = True,
    ) -> None:
        super().__init__()
        self.conditional, self.model, self.levels = conditional, model, levels

        def projection(channels: int) -> Projection:
            backbone = Backbone(
                model,
                in_chans=channels,
                levels=levels,
                pretrained=pretrained,
                weights=weights,
                freeze=True,
            )
            return Projection(backbone, FINEST if levels is None else 1, width)

        # One model looks at both where their channels are as many.
        self.projections = nn.ModuleDict({"image": projection(target_channels)})
        if conditional and source_channels != target_channels:
            self.projections["source"] = projection(source_channels)
        shared: Projection = self.projections["image"]  # type: ignore[assignment]
        self.smallest = 2 * shared.strides[-1]
        self.heads = nn.ModuleList(
            Head(shared.widths[level:], 1 + conditional, shared.halvings(level), norm)
            for level in range(len(shared.widths))
        )

    def forward(self, source: Tensor, image: Tensor) -> Judgement:
        height, width = image.shape[-2:]
        if min(height, width) < self.smallest:
            raise UserError(
                f"projected can't judge an image of {height}x{width}: its model needs at least "
                f"{self.smallest} pixels a side, or name only its finer levels."
            )
        seen = self.projections["image"](image)
        if self.conditional:
            key = "source" if "source" in self.projections else "image"
            beside = self.projections[key](source)
            seen = [torch.cat([x, y], dim=1) for x, y in zip(seen, beside, strict=True)]
        judged = [head(x) for head, x in zip(self.heads, seen, strict=True)]
        return Judgement(
            logits=tuple(logits for logits, _ in judged),
            features=tuple(features for _, features in judged),
        )

    @property
    def receptive_field(self) -> int | None:
        """Pixels a side that a logit sees; None where its model looks at the whole image.

        Traced when first asked for, which takes seconds.
        """
        pixels = pixels_of(self.model, self.levels)
        if pixels is None:
            return None
        mixed: Projection = self.projections["image"]  # type: ignore[assignment]
        spans = []
        for level, head in enumerate(self.heads):
            spans += mixed.sees(level, head.sees((0, 0)), pixels)  # type: ignore[operator]
        return max(last for _, last in spans) - min(first for first, _ in spans) + 1


class Projection(nn.Module):
    """A frozen backbone's features from stride `finest` on, mixed at random; see `Projected`.

    widths, strides: channels and strides of what it gives.
    """

    keep_init: ClassVar[bool] = True

    def __init__(self, backbone: Backbone, finest: int, width: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.levels = [i for i, s in enumerate(backbone.strides) if s >= finest]
        self.strides = [backbone.strides[i] for i in self.levels]
        self.widths = [width * min(2**number, 8) for number in range(len(self.levels))]
        self.channels_mixed = nn.ModuleList(
            fixed(backbone.channels[i], w, 1) for i, w in zip(self.levels, self.widths, strict=True)
        )
        self.scales_mixed = nn.ModuleList(
            fixed(coarse, fine, 3)
            for fine, coarse in zip(self.widths, self.widths[1:], strict=False)
        )

    def halvings(self, level: int) -> int:
        """How often a level has to be halved to have the coarsest stride."""
        return round(math.log2(self.strides[-1] / self.strides[level]))

    def sees(self, level: int, places: Span, pixels: Sequence[Span]) -> list[Span]:
        """The pixels that places of a mixed level depend on, a span for each backbone's feature."""
        first, last = places
        stride, (left, right) = self.strides[level], pixels[self.levels[level]]
        seen = [(first * stride + left, last * stride + right)]
        if level + 1 < len(self.levels):
            times = self.strides[level + 1] / stride
            if times > 1:  # bilinear: the two neighbours of a place
                first = math.floor((first + 0.5) / times - 0.5)
                last = math.floor((last + 0.5) / times - 0.5) + 1
            seen += self.sees(level + 1, (first - 1, last + 1), pixels)
        return seen

    def forward(self, image: Tensor) -> list[Tensor]:
        features = self.backbone(image)
        maps = [mix(features[i]) for mix, i in zip(self.channels_mixed, self.levels, strict=True)]
        for level in reversed(range(len(maps) - 1)):
            coarse = self.scales_mixed[level](maps[level + 1])
            size = maps[level].shape[-2:]
            maps[level] = maps[level] + F.interpolate(
                coarse, size=size, mode="bilinear", align_corners=False
            )
        return maps


class Head(nn.Module):
    """Judges one level: N C h w -> logits at the coarsest stride, and features.

    widths: of this level and the coarser ones. beside: how many pictures' features come in.
    """

    def __init__(
        self, widths: Sequence[int], beside: int, halvings: int, norm: Literal["batch", "none"]
    ) -> None:
        super().__init__()
        widths = [*widths, *[widths[-1]] * halvings]
        self.halvings = halvings
        self.layers = nn.ModuleList([layer(beside * widths[0], widths[0], 3, 1, norm)])
        for number in range(halvings):
            self.layers.append(layer(widths[number], widths[number + 1], 4, 2, norm))
        self.last = spectral_norm(nn.Conv2d(widths[halvings], 1, 3, padding=1))

    def sees(self, logits: Span) -> Span:
        """The places that logits depend on."""
        first, last = logits[0] - 1, logits[1] + 1
        for _ in range(self.halvings):
            first, last = 2 * first - 1, 2 * last + 2
        return first - 1, last + 1

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        # Half precision would spoil the power iteration, and these maps are small.
        with torch.autocast(x.device.type, enabled=False):
            features = []
            x = x.to(next(self.parameters()).dtype)
            for each in self.layers:
                x = each(x)
                features.append(x)
            return self.last(x), tuple(features)


def layer(
    inputs: int, outputs: int, kernel: int, stride: int, norm: Literal["batch", "none"]
) -> nn.Module:
    """Convolution, norm, LeakyReLU."""
    return nn.Sequential(
        spectral_norm(nn.Conv2d(inputs, outputs, kernel, stride, padding=1)),
        nn.BatchNorm2d(outputs) if norm == "batch" else nn.Identity(),
        nn.LeakyReLU(0.2),
    )


def fixed(inputs: int, outputs: int, kernel: int) -> nn.Conv2d:
    """A random convolution that keeps the scale of what comes in, and does not train."""
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="linear")
    conv.requires_grad_(False)
    return conv
