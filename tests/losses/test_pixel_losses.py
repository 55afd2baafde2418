from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from p2ptk.losses.charbonnier import CharbonnierLoss
from p2ptk.losses.l1 import L1Loss
from p2ptk.losses.l2 import L2Loss


def pair(fake: torch.Tensor, target: torch.Tensor) -> Any:
    return SimpleNamespace(fake=fake, target=target)


KNOWN = pair(torch.tensor([[0.5, -1.0]]), torch.tensor([[0.0, 1.0]]))


def test_values_by_hand() -> None:
    assert L1Loss().generator(KNOWN).item() == pytest.approx(1.25)
    assert L2Loss().generator(KNOWN).item() == pytest.approx((0.25 + 4) / 2)
    smooth = CharbonnierLoss(eps=0.1).generator(KNOWN).item()
    assert smooth == pytest.approx((0.26**0.5 + 4.01**0.5) / 2)


def test_charbonnier_nears_l1_and_has_a_gradient_where_images_agree() -> None:
    near = CharbonnierLoss(eps=1e-5).generator(KNOWN)
    torch.testing.assert_close(near, L1Loss().generator(KNOWN))
    fake = torch.zeros(1, 3, 2, 2, requires_grad=True)
    loss = CharbonnierLoss().generator(pair(fake, torch.zeros_like(fake)))
    assert loss.item() == pytest.approx(1e-3)
    (gradient,) = torch.autograd.grad(loss, fake)
    assert torch.equal(gradient, torch.zeros_like(gradient))


@pytest.mark.parametrize("loss", [L1Loss(), L2Loss(), CharbonnierLoss()])
def test_half_precision_is_compared_in_float32(loss: Any) -> None:
    torch.manual_seed(0)
    fake = torch.randn(2, 3, 64, 64).to(torch.bfloat16)
    target = torch.randn(2, 3, 64, 64)
    low, full = loss.generator(pair(fake, target)), loss.generator(pair(fake.float(), target))
    assert low.dtype == torch.float32
    assert torch.equal(low, full)


@pytest.mark.parametrize("loss", [L1Loss(), L2Loss(), CharbonnierLoss()])
def test_only_the_generator_has_a_term(loss: Any) -> None:
    assert not hasattr(loss, "discriminator")
