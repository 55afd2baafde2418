"""Penalties on the discriminator's slope at real images, and at translations."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from p2ptk.contracts import Judgement, Translation


class R1Loss:
    """gamma / 2 * |dD / d target|^2, for the discriminator (Mescheder et al. 2018, eq. 9).

    The squared length of the gradient by the target image, mean over images. Of a map of P logits
    it is that of their sum, divided by P: for a single logit the paper's, for patches that don't
    overlap just the mean over patches of each one's own penalty, and more where overlapping ones
    agree. Mean over maps.

    It is lazy: called on every 16th step and scaled by 16, unless `every` says otherwise (Karras et
    al. 2020, StyleGAN2, section 3.1). Norms over the batch would mix the images' gradients: use
    `instance` or `none` in the discriminator.

    gamma: 10 is the paper's. StyleGAN2-ADA's rule of 0.0002 * side^2 / batch size (Karras et al.
        2020, appendix C) gives 1 for patches of 70 pixels one at a time.
    """

    input_gradients: ClassVar[bool] = True
    every: ClassVar[int] = 16

    def __init__(self, *, gamma: Annotated[float, Field(ge=0)] = 10.0) -> None:
        self.gamma = gamma

    def discriminator(self, t: Translation) -> Tensor:
        return self.gamma / 2 * squared_slope(t.judged_real, t.target)


class R2Loss(R1Loss):
    """As `r1`, at the translations: gamma / 2 * |dD / d fake|^2 (Mescheder et al. 2018, eq. 10).

    gamma: 10 is the paper's.
    """

    def discriminator(self, t: Translation) -> Tensor:
        return self.gamma / 2 * squared_slope(t.judged_fake, t.fake)


def squared_slope(judged: Judgement, image: Tensor) -> Tensor:
    """The squared gradient of the logits by `image`, which judged them; see `R1Loss`."""
    slopes = []
    for logits in judged.logits:
        (slope,) = torch.autograd.grad(logits.float().sum(), image, create_graph=True)
        slopes.append(slope.square().sum() / logits.numel())
    return sum(slopes[1:], start=slopes[0]) / len(slopes)
