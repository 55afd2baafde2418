from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from p2ptk.contracts import Judgement, Translation
from p2ptk.errors import UserError
from p2ptk.losses.gan import GANLoss

SOURCE, TARGET, FAKE = torch.zeros(3, 1, 1, 1, 1).unbind()


def judged(fake: list[Tensor], real: list[Tensor], phase: Any = "D") -> Translation:
    """A translation whose discriminator says what it is told to."""

    def judge(source: Tensor, image: Tensor) -> Judgement:
        return Judgement(tuple(fake if image is FAKE else real), ())

    return Translation(
        step=0,
        epoch=0.0,
        phase=phase,
        rng=torch.Generator(),
        source=SOURCE,
        target=TARGET,
        fake=FAKE,
        extra={},
        generator=nn.Identity(),
        judge=judge,
    )


def map_of(*values: float) -> Tensor:
    return torch.tensor(values).view(1, 1, 1, -1)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


FAKE_LOGITS, REAL_LOGITS = (-0.5, 2.0), (0.25, 1.5)


@pytest.mark.parametrize(
    ("mode", "on_real", "on_fake", "for_g"),
    [
        (
            "vanilla",
            lambda x: -math.log(sigmoid(x)),
            lambda x: -math.log(1 - sigmoid(x)),
            lambda x: -math.log(sigmoid(x)),
        ),
        ("lsgan", lambda x: (x - 1) ** 2, lambda x: x**2, lambda x: (x - 1) ** 2),
        ("hinge", lambda x: max(0, 1 - x), lambda x: max(0, 1 + x), lambda x: -x),
        ("wgan", lambda x: -x, lambda x: x, lambda x: -x),
    ],
)
def test_values_by_hand(mode: Any, on_real: Any, on_fake: Any, for_g: Any) -> None:
    t = judged([map_of(*FAKE_LOGITS)], [map_of(*REAL_LOGITS)])
    loss = GANLoss(mode=mode)
    real = sum(map(on_real, REAL_LOGITS)) / 2
    fake = sum(map(on_fake, FAKE_LOGITS)) / 2
    assert loss.discriminator(t).item() == pytest.approx((real + fake) / 2, rel=1e-6)
    assert t.logged["d_real"].item() == pytest.approx(real, rel=1e-6)
    assert t.logged["d_fake"].item() == pytest.approx(fake, rel=1e-6)
    assert loss.generator(t).item() == pytest.approx(sum(map(for_g, FAKE_LOGITS)) / 2, rel=1e-6)


def test_an_undecided_discriminator_costs_log_2() -> None:
    t = judged([torch.zeros(2, 1, 5, 5)], [torch.zeros(2, 1, 5, 5)])
    assert GANLoss().discriminator(t).item() == pytest.approx(math.log(2))
    assert GANLoss(d_scale=1.0).discriminator(t).item() == pytest.approx(2 * math.log(2))
    assert GANLoss().generator(t).item() == pytest.approx(math.log(2))


@pytest.mark.parametrize("mode", ["vanilla", "lsgan", "hinge", "wgan", "rpgan"])
def test_scales_count_alike_whatever_their_size(mode: Any) -> None:
    torch.manual_seed(0)
    large, small = torch.randn(2, 1, 9, 9), torch.randn(2, 1, 2, 2)
    loss = GANLoss(mode=mode)
    for side in (loss.generator, loss.discriminator):
        both = side(judged([large, small], [-large, 2 * small]))
        one, two = side(judged([large], [-large])), side(judged([small], [2 * small]))
        torch.testing.assert_close(both, (one + two) / 2)


@pytest.mark.parametrize("mode", ["vanilla", "lsgan", "hinge", "wgan", "rpgan"])
def test_half_precision_logits_are_scored_in_float32(mode: Any) -> None:
    low = torch.linspace(-9, 9, 64, dtype=torch.bfloat16).view(1, 1, 8, 8)
    loss = GANLoss(mode=mode)
    t, u = judged([low], [low]), judged([low.float()], [low.float()])
    assert loss.generator(t).dtype == torch.float32
    assert torch.equal(loss.generator(t), loss.generator(u))
    assert torch.equal(loss.discriminator(t), loss.discriminator(u))


@pytest.mark.parametrize("mode", ["vanilla", "lsgan", "hinge", "rpgan"])
def test_each_side_pulls_its_own_way(mode: Any) -> None:
    fake, real = (torch.zeros(1, 1, 4, 4, requires_grad=True) for _ in range(2))
    t = judged([fake], [real])
    loss = GANLoss(mode=mode)
    down_fake, up_real = torch.autograd.grad(loss.discriminator(t), [fake, real])
    assert (down_fake > 0).all() or mode == "lsgan"  # lsgan is content with 0
    assert (up_real < 0).all()
    (up_fake,) = torch.autograd.grad(loss.generator(t), [fake])
    assert (up_fake < 0).all()


def test_extreme_logits_stay_finite() -> None:
    far = map_of(-1e4, 1e4)
    t = judged([far], [far])
    assert GANLoss().discriminator(t).isfinite()
    assert GANLoss().generator(t).isfinite()


def test_label_smoothing_lowers_what_d_wants_of_real_images_only() -> None:
    logits = map_of(0.3, -0.7)
    t = judged([logits], [logits])
    smooth = GANLoss(mode="lsgan", label_smoothing=0.1)
    plain = GANLoss(mode="lsgan")
    smooth.discriminator(t)
    assert t.logged["d_real"].item() == pytest.approx((0.6**2 + 1.6**2) / 2)
    assert t.logged["d_fake"].item() == pytest.approx((0.3**2 + 0.7**2) / 2)
    assert torch.equal(smooth.generator(t), plain.generator(t))


@pytest.mark.parametrize("mode", ["hinge", "wgan", "rpgan"])
def test_modes_without_labels_refuse_smoothing(mode: Any) -> None:
    with pytest.raises(UserError, match="no labels to smooth"):
        GANLoss(mode=mode, label_smoothing=0.1)


def test_relativistic_values_by_hand() -> None:
    """Each logit of the target against that of the fake at the same place."""
    t = judged([map_of(*FAKE_LOGITS)], [map_of(*REAL_LOGITS)])
    margins = [real - fake for real, fake in zip(REAL_LOGITS, FAKE_LOGITS, strict=True)]
    loss = GANLoss(mode="rpgan", d_scale=1.0)
    for_d = sum(-math.log(sigmoid(m)) for m in margins) / 2
    for_g = sum(-math.log(sigmoid(-m)) for m in margins) / 2
    assert loss.discriminator(t).item() == pytest.approx(for_d, rel=1e-6)
    assert loss.generator(t).item() == pytest.approx(for_g, rel=1e-6)
    assert t.logged["d_margin"].item() == pytest.approx(sum(margins) / 2, rel=1e-6)


def test_relativistic_losses_do_not_see_a_common_shift() -> None:
    torch.manual_seed(0)
    fake, real = torch.randn(2, 2, 1, 4, 4).unbind()
    loss = GANLoss(mode="rpgan")
    for side in (loss.generator, loss.discriminator):
        plain, shifted = side(judged([fake], [real])), side(judged([fake + 5], [real + 5]))
        torch.testing.assert_close(plain, shifted)


@pytest.mark.parametrize("mode", ["vanilla", "rpgan"])
def test_the_fake_is_judged_first(mode: Any) -> None:
    order = []
    t = judged([map_of(0.0)], [map_of(0.0)])
    told = t.judge
    t.judge = lambda source, image: order.append(image is FAKE) or told(source, image)
    GANLoss(mode=mode).discriminator(t)
    assert order == [True, False]
