from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from p2ptk.components import create
from p2ptk.contracts import Judgement
from p2ptk.losses.r1 import R1Loss, R2Loss

Make = Callable[..., Any]
RGB = {"source_channels": 3, "target_channels": 3}
TARGET, FAKE = torch.randn(2, 2, 3, 8, 8, generator=torch.Generator().manual_seed(0)).unbind()


def squares(source: Tensor, image: Tensor) -> Judgement:
    """One logit an image: half its squared length, whose gradient is the image itself."""
    return Judgement((image.square().sum((1, 2, 3)).view(-1, 1, 1, 1) / 2,), ())


def test_values_by_hand(translation: Make) -> None:
    t = translation(squares, TARGET, FAKE)
    for loss, image in ((R1Loss(gamma=3.0), TARGET), (R2Loss(gamma=3.0), FAKE)):
        expected = 1.5 * image.square().sum((1, 2, 3)).mean()
        torch.testing.assert_close(loss.discriminator(t), expected)


def test_patches_that_do_not_overlap_have_the_mean_of_their_own_penalties(
    translation: Make,
) -> None:
    """A PixelGAN judges every pixel alone, so its penalty can be had pixel by pixel."""
    torch.manual_seed(0)
    judge = create("discriminator", "patchgan:layers=0,width=4,norm=none", **RGB)
    t = translation(judge, TARGET[:1], FAKE[:1])
    value = R1Loss(gamma=2.0).discriminator(t)
    own = []
    for place in range(64):
        pixel = TARGET[:1].flatten(2)[..., place].view(1, 3, 1, 1).requires_grad_()
        logit = judge(torch.zeros_like(pixel), pixel).logits[0]
        own.append(torch.autograd.grad(logit.sum(), pixel)[0].square().sum())
    torch.testing.assert_close(value, torch.stack(own).mean())


def test_scales_count_alike(translation: Make) -> None:
    def twice(source: Tensor, image: Tensor) -> Judgement:
        (logits,) = squares(source, image).logits
        return Judgement((logits, 2 * logits), ())

    t, u = translation(twice, TARGET, FAKE), translation(squares, TARGET, FAKE)
    torch.testing.assert_close(
        R1Loss().discriminator(t), R1Loss().discriminator(u) * (1 + 4) / 2
    )  # fmt: skip


@pytest.mark.parametrize("spec", ["patchgan:layers=2,width=4,norm=instance",
                                  "multiscale:scales=2,layers=0,width=4,spectral=true",
                                  "unet:layers=2,width=4"])  # fmt: skip
@pytest.mark.parametrize("loss", [R1Loss(), R2Loss()])
def test_its_gradient_reaches_the_discriminator(translation: Make, spec: str, loss: Any) -> None:
    torch.manual_seed(0)
    judge = create("discriminator", spec, **RGB)
    big = torch.randn(2, 1, 3, 16, 16)
    value = loss.discriminator(translation(judge, *big))
    assert value > 0
    value.backward()
    weights = [m.weight for m in judge.modules() if isinstance(m, nn.Conv2d)]
    assert all(w.grad is not None and w.grad.abs().sum() > 0 for w in weights)


def test_a_step_against_it_makes_the_discriminator_flatter(translation: Make) -> None:
    torch.manual_seed(0)
    judge = create("discriminator", "patchgan:layers=1,width=4,norm=none", **RGB)
    sgd = torch.optim.SGD(judge.parameters(), 1e-2)
    slopes = []
    for _ in range(5):
        value = R1Loss().discriminator(translation(judge, TARGET, FAKE))
        sgd.zero_grad()
        value.backward()
        sgd.step()
        slopes.append(value.item())
    assert slopes == sorted(slopes, reverse=True)


def test_they_are_lazy_and_exact() -> None:
    for loss in (R1Loss(), R2Loss()):
        assert (loss.every, loss.input_gradients) == (16, True)
        assert not hasattr(loss, "generator")
