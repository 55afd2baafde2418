"""Which pixels a model's features are made from, traced by values that are no numbers."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from p2ptk_timm.backbone import Backbone

SHORTEST, LONGEST = 1024, 4096  # pixels of the strip that they are traced on

Span = tuple[int, int]  # first and last


@lru_cache(maxsize=32)
@torch.no_grad()
def pixels_of(model: str, levels: tuple[int, ...] | None) -> tuple[Span, ...] | None:
    """For each feature of a timm model, the pixels along a row that its place 0 depends on.

    Place i sees those pixels, each i strides further; far from the borders. None where a feature
    sees more than a strip has, as it does where a model looks at the whole image.

    What a pixel touches becomes NaN with it, however weakly: unlike a gradient, which is lost where
    a weight is 0, a ReLU is shut or a product underflows. The model is built for it without its
    weights, on the CPU. Takes seconds.
    """
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        backbone = Backbone(model, levels=levels, freeze=True)
    length = SHORTEST
    while length <= LONGEST:
        strip = torch.zeros(1, 3, 2 * backbone.strides[-1], length)
        firsts = _edges(backbone, strip, from_right=False)
        lasts = _edges(backbone, strip, from_right=True) if firsts else None
        if firsts and lasts:
            spans = zip(firsts, lasts, backbone.strides, strict=True)
            return tuple((first, stride - 1 - last) for first, last, stride in spans)
        length *= 2
    return None


def _edges(backbone: Backbone, strip: Tensor, from_right: bool) -> list[int] | None:
    """The first pixel that place 0 of each feature depends on.

    from_right: the same in a mirrored count, pixel 0 being the last of the place's own stride.
    None where half the strip touches every place.
    """
    length = strip.shape[-1]
    known: dict[int, list[int]] = {}

    def touched(pixels: int) -> list[int]:
        """How many places of each feature depend on the first so many pixels."""
        if pixels not in known:
            image = strip.clone()
            image[..., slice(length - pixels, None) if from_right else slice(pixels)] = torch.nan
            features = backbone(image)
            known[pixels] = [int(x.isnan().any(1).any(-2).sum()) for x in features]
        return known[pixels]

    half, found = length // 2, []
    for number, stride in enumerate(backbone.strides):
        seeing = touched(half)[number]
        if seeing >= length // stride:
            return None
        # Place seeing - 1 is the last that these pixels touch. Of the last stride of them the first
        # that it depends on is looked for: the next place would need a stride more.
        low, high = half - stride, half
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if touched(middle)[number] >= seeing else (middle, high)
        found.append(high - 1 - stride * (seeing - 1))
    return found
