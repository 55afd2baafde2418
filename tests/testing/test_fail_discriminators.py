"""Discriminators that break one rule each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from p2ptk import Judgement
from p2ptk.testing import conformance
from p2ptk.testing.outcomes import Result

Fails = Callable[..., str]
SKIP = ["import-touches-nothing"]  # takes a process of its own for this file


class Patches(nn.Module):
    """A sound discriminator of patches of 10 pixels."""

    receptive_field: Any = 10

    def __init__(self, *, source_channels: int, target_channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(source_channels + target_channels, 8, 4, stride=2, padding=1)
        self.last = nn.Conv2d(8, 1, 4, stride=2, padding=1)

    def forward(self, source: Tensor, image: Tensor) -> Any:
        x = self.seen(source, image)
        return Judgement(logits=(self.logits(x),), features=((x,),))

    def seen(self, source: Tensor, image: Tensor) -> Tensor:
        return F.leaky_relu(self.first(torch.cat([source, image], dim=1)), 0.2)

    def logits(self, x: Tensor) -> Tensor:
        return self.last(x)


def test_the_sound_one_passes() -> None:
    assert {r.status for r in conformance("discriminator", Patches, skip=SKIP)} <= {
        "passed",
        "skipped",
    }


def test_no_judgement(fails: Fails) -> None:
    class Bare(Patches):
        def forward(self, source: Tensor, image: Tensor) -> Any:
            return self.logits(self.seen(source, image))

    said = fails("judgement", "discriminator", Bare)
    assert "gives Tensor: return Judgement(logits=(x,)" in said


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda x, f: (x, f), "logits must be a tuple"),
        (lambda x, f: ((x.flatten(),), f), "each must be N 1 h w"),
        (lambda x, f: ((x.repeat(1, 2, 1, 1),), f), "logits of (2, 2, 8, 8) for a batch of 2"),
        (lambda x, f: ((x,), f[0]), "features must be a tuple a scale, each a tuple"),
        (lambda x, f: ((x, x), f), "2 maps of logits and 1 scales of features"),
    ],
)
def test_the_shape_of_a_judgement(fails: Fails, change: Callable[..., Any], sentence: str) -> None:
    class Shaped(Patches):
        def forward(self, source: Tensor, image: Tensor) -> Any:
            x = self.seen(source, image)
            return Judgement(*change(self.logits(x), ((x,),)))

    assert sentence in fails("judgement", "discriminator", Shaped)


def test_probabilities(fails: Fails) -> None:
    class Shares(Patches):
        def logits(self, x: Tensor) -> Tensor:
            return torch.sigmoid(super().logits(x))

    said = fails("logits-not-probabilities", "discriminator", Shares)
    assert "stay between 0 and 1" in said
    assert "leave out the sigmoid" in said


def test_logits_that_happen_to_be_small_are_no_probabilities(
    ended: Callable[..., Result],
) -> None:
    class Small(Patches):
        def logits(self, x: Tensor) -> Tensor:
            return super().logits(F.normalize(x)) * 1e-3 + 0.5

    class Hinged(Patches):
        def logits(self, x: Tensor) -> Tensor:
            return F.relu(super().logits(x))

    for what in (Small, Hinged):
        assert ended("logits-not-probabilities", "discriminator", what).status == "passed"


@pytest.mark.parametrize(
    ("declared", "sentence"),
    [
        (16, "declares receptive_field = 16, but a logit sees 10 pixels: declare "
             "receptive_field = 10."),
        (7, "declare receptive_field = 10."),
        (None, "declares receptive_field = None, but a logit sees 10 pixels"),
    ],
)  # fmt: skip
def test_receptive_field(fails: Fails, declared: object, sentence: str) -> None:
    class Claims(Patches):
        receptive_field = declared

    assert sentence in fails("receptive-field", "discriminator", Claims)


class Whole(Patches):
    """One logit for the whole image, whatever its size."""

    receptive_field: Any = None

    def logits(self, x: Tensor) -> Tensor:
        return super().logits(x).mean((2, 3), keepdim=True)


def test_a_logit_that_sees_the_whole_image(fails: Fails) -> None:
    class Claims(Whole):
        receptive_field = 10

    assert {r.status for r in conformance("discriminator", Whole, skip=SKIP)} <= {
        "passed",
        "skipped",
    }
    assert "sees the whole image: declare receptive_field = None" in fails(
        "receptive-field", "discriminator", Claims
    )


def test_norms_do_not_count_as_sight(ended: Callable[..., Result]) -> None:
    class Normed(Patches):
        def seen(self, source: Tensor, image: Tensor) -> Tensor:
            return F.group_norm(F.instance_norm(super().seen(source, image)), 2)

    result = ended("receptive-field", "discriminator", Normed)
    assert (result.status, result.sentence) == ("passed", "a logit sees 10 pixels.")


def test_dead_units_do_not_hide_the_edge(ended: Callable[..., Result]) -> None:
    class Rectified(Patches):
        def seen(self, source: Tensor, image: Tensor) -> Tensor:
            return F.relu(super().seen(source, image))

    assert ended("receptive-field", "discriminator", Rectified).status == "passed"


def test_a_source_that_makes_no_difference(fails: Fails, ended: Callable[..., Result]) -> None:
    class Blind(Patches):
        def seen(self, source: Tensor, image: Tensor) -> Tensor:
            return super().seen(torch.zeros_like(source), image)

    class SaysSo(Blind):
        conditional = False

    class Sees(Patches):
        conditional = False

    said = fails("conditional", "discriminator", Blind)
    assert "don't depend on the source" in said
    assert "self.conditional = False" in said
    assert ended("conditional", "discriminator", SaysSo).status == "passed"
    assert "has conditional = False, but its logits change" in fails(
        "conditional", "discriminator", Sees
    )


def test_a_parameter_says_whether_the_source_is_judged(ended: Callable[..., Result]) -> None:
    result = ended("conditional", "discriminator", "multiscale:scales=2,width=2,conditional=false")
    assert (result.status, result.sentence) == ("passed", "declared unconditional.")


def test_no_gradient_for_the_image(fails: Fails) -> None:
    class Detached(Patches):
        def seen(self, source: Tensor, image: Tensor) -> Tensor:
            return super().seen(source, image.detach())

    class Rounds(Patches):
        def seen(self, source: Tensor, image: Tensor) -> Tensor:
            return super().seen(source, (image * 255).round() / 255)

    for what in (Detached, Rounds):
        said = fails("gradient-of-the-image", "discriminator", what)
        assert "give the image no gradient" in said


def test_three_channels_only(fails: Fails) -> None:
    class Colours(Patches):
        def __init__(self, *, source_channels: int, target_channels: int) -> None:
            super().__init__(source_channels=3, target_channels=3)

    assert "stops" in fails("channels", "discriminator", Colours)
