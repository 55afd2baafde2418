"""Losses that break one rule each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from p2ptk import Translation, UserError
from p2ptk.testing import conformance
from p2ptk.testing.outcomes import Result

Fails = Callable[..., str]
SKIP = ["import-touches-nothing"]  # takes a process of its own for this file


class Plain:
    """A sound loss."""

    def generator(self, t: Translation) -> Tensor:
        return F.l1_loss(t.fake, t.target)


class Adversary:
    """A sound adversarial loss."""

    def generator(self, t: Translation) -> Tensor:
        return -t.judged_fake.logits[0].mean()

    def discriminator(self, t: Translation) -> Tensor:
        return (
            F.relu(1 - t.judged_real.logits[0]).mean() + F.relu(1 + t.judged_fake.logits[0]).mean()
        )


@pytest.mark.parametrize("sound", [Plain, Adversary])
def test_the_sound_ones_pass(sound: type) -> None:
    assert {r.status for r in conformance("loss", sound, skip=SKIP)} <= {"passed", "skipped"}


def test_no_phase(fails: Fails) -> None:
    class Nothing:
        pass

    assert "neither generator(t) nor discriminator(t)" in fails("phases", "loss", Nothing)


@pytest.mark.parametrize("value", [0, 1.5, True])
def test_every(fails: Fails, value: object) -> None:
    class Lazy(Plain):
        every = value

    assert f"every = {value!r}: a whole number from 1" in fails("phases", "loss", Lazy)


def test_a_side_that_does_not_exist(fails: Fails) -> None:
    class Both(Plain):
        trainable = "both"

    assert 'write "generator" or "discriminator"' in fails("phases", "loss", Both)


def test_a_network_in_a_plain_object(fails: Fails) -> None:
    class Holds(Plain):
        def __init__(self) -> None:
            self.vgg = nn.Conv2d(3, 3, 1)

    said = fails("module-where-it-holds-networks", "loss", Holds)
    assert "holds a network in 'vgg' but is no nn.Module" in said


def test_maps_instead_of_a_scalar(fails: Fails) -> None:
    class Maps:
        def generator(self, t: Translation) -> Tensor:
            return (t.fake - t.target).abs()

    assert "gives (1, 3, 64, 64): return a scalar tensor" in fails("finite-scalar", "loss", Maps)


def test_infinite_values(fails: Fails) -> None:
    class Infinite:
        def generator(self, t: Translation) -> Tensor:
            return (t.fake - t.target).abs().mean() / 0

    assert "gives inf at batch size 1" in fails("finite-scalar", "loss", Infinite)


def test_a_value_without_a_gradient(fails: Fails) -> None:
    class Detached:
        def generator(self, t: Translation) -> Tensor:
            return F.l1_loss(t.fake.detach(), t.target)

    assert "a value without a gradient" in fails("finite-scalar", "loss", Detached)


def test_half_precision(fails: Fails) -> None:
    class Overflows(Adversary):
        def generator(self, t: Translation) -> Tensor:
            x = t.judged_fake.features[0][0]
            return (x.half() if x.dtype == torch.bfloat16 else x).mul(1e6).mean()

    said = fails("finite-in-half-precision", "loss", Overflows)
    assert "call .float() on what it takes" in said


def test_a_generator_that_is_not_reached(fails: Fails) -> None:
    class Misses:
        def generator(self, t: Translation) -> Tensor:
            return F.l1_loss(t.fake.detach().requires_grad_(), t.target)

    assert "gives the generator no gradient" in fails("gradient-of-the-generator", "loss", Misses)


def test_a_discriminator_that_is_reached_in_phase_g(fails: Fails) -> None:
    class Thaws(Adversary):
        def generator(self, t: Translation) -> Tensor:
            value = t.judge(t.source, t.fake).logits[0].mean()
            for p in _network(t).parameters():
                p.requires_grad_(True)
            return value + t.judge(t.source, t.fake).logits[0].mean()

    def _network(t: Translation) -> nn.Module:
        cells = [c.cell_contents for c in t.judge.__closure__ or ()]
        return next(c.discriminator for c in cells if hasattr(c, "discriminator"))

    assert "gives the discriminator a gradient" in fails("gradient-of-the-generator", "loss", Thaws)


def test_a_target_that_is_reached(fails: Fails) -> None:
    class Reaches:
        def generator(self, t: Translation) -> Tensor:
            return F.l1_loss(t.fake, t.target.requires_grad_())

    said = fails("gradient-of-the-generator", "loss", Reaches)
    assert "lets a gradient reach t.target: take t.target.detach()" in said


def test_a_generator_that_is_reached_in_phase_d(fails: Fails) -> None:
    class Again(Adversary):
        def discriminator(self, t: Translation) -> Tensor:
            return t.judge(t.source, t.generator(t.source)).logits[0].mean()

    said = fails("gradient-of-the-discriminator", "loss", Again)
    assert "reaches the generator's graph: use t.fake" in said


def test_a_discriminator_that_is_not_reached(fails: Fails) -> None:
    class Misses(Adversary):
        def discriminator(self, t: Translation) -> Tensor:
            return t.judged_real.logits[0].detach().mean()

    assert "a value without a gradient" in fails("gradient-of-the-discriminator", "loss", Misses)


def test_an_effect_with_weight_zero(fails: Fails, monkeypatch: pytest.MonkeyPatch) -> None:
    class Patches(Plain):
        def __init__(self) -> None:
            F.l1_loss = F.mse_loss

    monkeypatch.setattr(F, "l1_loss", F.l1_loss)
    assert "although its weight is 0" in fails("weight-zero", "loss", Patches)


def test_an_update_that_leaves_no_numbers(fails: Fails) -> None:
    class Roots:
        def generator(self, t: Translation) -> Tensor:
            return (t.fake - t.fake.detach()).square().sum().sqrt()

    assert "mind roots and divisions" in fails("real-step", "loss", Roots)


def test_tensors_changed_in_place(fails: Fails) -> None:
    class Tramples:
        def generator(self, t: Translation) -> Tensor:
            t.target.clamp_(0, 1)
            return F.l1_loss(t.fake, t.target)

    assert "changes t.target in place" in fails("leaves-the-rest", "loss", Tramples)


def test_global_numbers(fails: Fails) -> None:
    class Draws:
        def generator(self, t: Translation) -> Tensor:
            return (t.fake * torch.rand_like(t.fake)).abs().mean()

    assert "pass generator=t.rng" in fails("leaves-the-rest", "loss", Draws)


def test_another_value_when_asked_again(fails: Fails) -> None:
    class Ramps:
        step = 0

        def generator(self, t: Translation) -> Tensor:
            self.step += 1
            return F.l1_loss(t.fake, t.target) * self.step

    assert "when asked again" in fails("repeats", "loss", Ramps)


def test_sums(fails: Fails) -> None:
    class OverBatch:
        def generator(self, t: Translation) -> Tensor:
            return (t.fake - t.target).abs().mean((1, 2, 3)).sum()

    class OverPixels:
        def generator(self, t: Translation) -> Tensor:
            return (t.fake - t.target).abs().sum((1, 2, 3)).mean()

    assert "for two equal pairs" in fails("mean-not-sum", "loss", OverBatch)
    assert "as a sum over pixels does" in fails("mean-not-sum", "loss", OverPixels)


def test_an_undeclared_question_to_the_discriminator(fails: Fails) -> None:
    class Asks:
        def generator(self, t: Translation) -> Tensor:
            return -t.judged_fake.logits[0].mean()

    said = fails("judges-as-declared", "loss", Asks)
    assert "declare the class attribute adversarial = True" in said


def test_undeclared_input_gradients(fails: Fails) -> None:
    class Penalty:
        def discriminator(self, t: Translation) -> Tensor:
            logits = t.judged_real.logits[0]
            (slope,) = torch.autograd.grad(logits.sum(), t.target, create_graph=True)
            return slope.square().mean()

    class Declares(Penalty):
        input_gradients = True

    said = fails("finite-scalar", "loss", Penalty)
    assert "declare the class attribute input_gradients = True" in said
    conformance("loss", Declares, skip=SKIP)


def test_extra_tensors(fails: Fails) -> None:
    class Masked:
        def generator(self, t: Translation) -> Tensor:
            return ((t.fake - t.target).abs() * t.extra["mask"]).mean()

    assert "extra={'mask': 1}" in fails("finite-scalar", "loss", Masked)
    conformance("loss", Masked, extra={"mask": 1}, skip=SKIP)


def test_a_loss_for_large_images_gets_them() -> None:
    class Large(Plain):
        def generator(self, t: Translation) -> Tensor:
            if t.fake.shape[-1] < 176:
                raise UserError("it needs images of at least 176 pixels a side.")
            return super().generator(t)

    conformance("loss", Large, skip=SKIP)


def test_sentences_have_the_value(ended: Callable[..., Result]) -> None:
    result: Any = ended("finite-scalar", "loss", Plain)
    assert result.sentence.startswith("generator 0.")
