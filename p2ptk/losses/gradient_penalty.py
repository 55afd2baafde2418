"""WGAN-GP's penalty: a critic whose slope is 1 between real images and translations."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from p2ptk.contracts import Translation


class GradientPenaltyLoss:
    """(|dD / dx| - 1)^2 at x = e * target + (1 - e) * fake (Gulrajani et al. 2017, eq. 3, Alg. 1).

    e is drawn from U[0, 1] for each pair. The critic of an image is the mean of a map of logits, as
    in `gan:mode=wgan`, so that is what has slope 1; of several maps each is a critic. Mean over
    images and maps. The paper's weight is 10. Norms over the batch would mix the images' gradients:
    use `instance` or `none` in the discriminator.
    """

    input_gradients: ClassVar[bool] = True
    needs_own_pair: ClassVar[bool] = True

    def discriminator(self, t: Translation) -> Tensor:
        share = torch.rand(len(t.fake), 1, 1, 1, generator=t.rng).to(t.fake)
        between = torch.lerp(t.fake.detach(), t.target.detach(), share).requires_grad_()
        penalties = []
        for logits in t.judge(t.source, between).logits:
            critic = logits.float().flatten(1).mean(1).sum()
            (slope,) = torch.autograd.grad(critic, between, create_graph=True)
            penalties.append((slope.flatten(1).norm(dim=1) - 1).square().mean())
        return sum(penalties[1:], start=penalties[0]) / len(penalties)
