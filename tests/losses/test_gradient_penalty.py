from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from p2ptk.components import create
from p2ptk.contracts import Judgement
from p2ptk.losses.gradient_penalty import GradientPenaltyLoss

Make = Callable[..., Any]
TARGET, FAKE = torch.randn(2, 3, 3, 8, 8, generator=torch.Generator().manual_seed(0)).unbind()


def test_a_linear_critic_has_its_own_slope_everywhere(translation: Make) -> None:
    torch.manual_seed(0)
    direction = torch.randn(1, 3, 8, 8)
    for length in (0.0, 0.5, 1.0, 3.0):
        plane = direction / direction.norm() * length

        def critic(source: Tensor, image: Tensor, plane: Tensor = plane) -> Judgement:
            return Judgement(((image * plane).sum((1, 2, 3)).view(-1, 1, 1, 1),), ())

        value = GradientPenaltyLoss().discriminator(translation(critic, TARGET, FAKE))
        assert value.item() == pytest.approx((length - 1) ** 2, abs=1e-5)


def test_what_is_judged_lies_between_target_and_fake(translation: Make) -> None:
    seen: list[Tensor] = []

    def critic(source: Tensor, image: Tensor) -> Judgement:
        seen.append(image.detach())
        return Judgement((image.mean((1, 2, 3)).view(-1, 1, 1, 1),), ())

    t = translation(critic, TARGET, FAKE)
    GradientPenaltyLoss().discriminator(t)
    shares = ((seen[0] - FAKE) / (TARGET - FAKE)).flatten(1)
    torch.testing.assert_close(shares, shares[:, :1].expand_as(shares), atol=1e-3, rtol=0)
    expected = torch.rand(3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(shares[:, 0], expected, atol=1e-3, rtol=0)
    GradientPenaltyLoss().discriminator(t)
    assert not torch.allclose(seen[0], seen[1])


def test_the_critic_of_an_image_is_the_mean_of_its_map(translation: Make) -> None:
    def single(source: Tensor, image: Tensor) -> Judgement:
        return Judgement((image.square().mean((1, 2, 3)).view(-1, 1, 1, 1),), ())

    def patches(source: Tensor, image: Tensor) -> Judgement:
        return Judgement((image.square().mean(1, keepdim=True),), ())

    values = [
        GradientPenaltyLoss().discriminator(translation(judge, TARGET, FAKE))
        for judge in (single, patches)
    ]
    torch.testing.assert_close(*values)


def test_a_flat_critic_costs_one_and_has_a_finite_gradient(translation: Make) -> None:
    weight = torch.zeros((), requires_grad=True)

    def critic(source: Tensor, image: Tensor) -> Judgement:
        return Judgement((weight * image.sum((1, 2, 3)).view(-1, 1, 1, 1),), ())

    value = GradientPenaltyLoss().discriminator(translation(critic, TARGET, FAKE))
    assert value.item() == 1
    (gradient,) = torch.autograd.grad(value, weight)
    assert gradient.isfinite()


def test_its_gradient_reaches_the_discriminator(translation: Make) -> None:
    torch.manual_seed(0)
    judge = create("discriminator", "patchgan:layers=1,width=4,norm=instance", source_channels=3,
                   target_channels=3)  # fmt: skip
    GradientPenaltyLoss().discriminator(translation(judge, TARGET, FAKE)).backward()
    assert judge.layers[0].conv.weight.grad.abs().sum() > 0
    assert GradientPenaltyLoss.input_gradients
    assert not hasattr(GradientPenaltyLoss, "generator")
