"""Generators and encoders that break one rule each, and the sentence that says which."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from p2ptk.testing import conformance
from p2ptk.testing.outcomes import Result

Fails = Callable[..., str]
SKIP = ["import-touches-nothing"]  # takes a process of its own for this file


class Halves(nn.Module):
    """A sound generator that halves the size twice and doubles it twice.

    gain: factor of the output.
    """

    size_multiple: Any = 4

    def __init__(self, *, source_channels: int, target_channels: int, gain: float = 1.0) -> None:
        super().__init__()
        self.gain = gain
        self.down = nn.Conv2d(source_channels, 4, 4, stride=4)
        self.up = nn.ConvTranspose2d(4, target_channels, 4, stride=4)

    def forward(self, source: Tensor) -> Tensor:
        return self.image(self.up(F.relu(self.down(source))))

    def image(self, x: Tensor) -> Tensor:
        return torch.tanh(x * self.gain)


def test_the_sound_one_passes() -> None:
    results = conformance("generator", Halves, skip=SKIP)
    assert {r.status for r in results} <= {"passed", "skipped"}


def test_no_module(fails: Fails) -> None:
    def factory(*, source_channels: int, target_channels: int) -> object:
        return object()

    assert "gives object, which is no nn.Module" in fails("module", "generator", factory)


def test_a_tensor_that_is_not_registered(fails: Fails) -> None:
    class Loose(Halves):
        def __init__(self, *, source_channels: int, target_channels: int) -> None:
            super().__init__(source_channels=source_channels, target_channels=target_channels)
            self.parts = [nn.Conv2d(3, 3, 1)]

    class Stray(Halves):
        def __init__(self, *, source_channels: int, target_channels: int) -> None:
            super().__init__(source_channels=source_channels, target_channels=target_channels)
            self.down.scale = torch.ones(3)

    assert "a module in 'parts'" in fails("registered", "generator", Loose)
    assert "nn.ModuleList" in fails("registered", "generator", Loose)
    assert "a tensor in 'down.scale'" in fails("registered", "generator", Stray)
    assert "register_buffer" in fails("registered", "generator", Stray)


def test_weights_from_another_generator_of_numbers(fails: Fails) -> None:
    class Python(Halves):
        def __init__(self, *, source_channels: int, target_channels: int) -> None:
            super().__init__(source_channels=source_channels, target_channels=target_channels)
            nn.init.constant_(self.up.weight, random.random())

    said = fails("same-seed-same-weights", "generator", Python)
    assert "other weights in 'up.weight'" in said


def test_a_parameter_without_a_gradient(fails: Fails) -> None:
    class Idle(Halves):
        def __init__(self, *, source_channels: int, target_channels: int) -> None:
            super().__init__(source_channels=source_channels, target_channels=target_channels)
            self.unused = nn.Linear(2, 2)

    said = fails("gradients", "generator", Idle)
    assert "unused.weight, unused.bias: remove them, or freeze them" in said


def test_nothing_that_trains(fails: Fails) -> None:
    class Frozen(Halves):
        def __init__(self, *, source_channels: int, target_channels: int) -> None:
            super().__init__(source_channels=source_channels, target_channels=target_channels)
            self.requires_grad_(False)

    assert "no parameter that trains" in fails("gradients", "generator", Frozen)


def test_an_input_changed_in_place(fails: Fails) -> None:
    class Tramples(Halves):
        def forward(self, source: Tensor) -> Tensor:
            return super().forward(source.mul_(0.5))

    class Clamps(Halves):
        def forward(self, source: Tensor) -> Tensor:
            return super().forward(source.clamp_(-1, 1))  # which changes no value here

    for what in (Tramples, Clamps):
        assert "changes its source in place" in fails("input-unchanged", "generator", what)


def test_draws_in_eval_mode(fails: Fails) -> None:
    class Noisy(Halves):
        def image(self, x: Tensor) -> Tensor:
            return torch.tanh(x + torch.rand(()))

    class Counts(Halves):
        seen = 0.0

        def image(self, x: Tensor) -> Tensor:
            self.seen += 0.1
            return torch.tanh(x + self.seen)

    assert "draws from torch's generator in eval" in fails(
        "eval-is-deterministic", "generator", Noisy
    )
    assert "another output at a second forward" in fails(
        "eval-is-deterministic", "generator", Counts
    )


def test_draws_that_no_step_seeds(fails: Fails) -> None:
    class Dice(Halves):
        def image(self, x: Tensor) -> Tensor:
            return torch.tanh(x * random.random() if self.training else x)

    assert "draws from random's generator in training" in fails(
        "draws-from-torch-alone", "generator", Dice
    )


def test_images_that_depend_on_their_batch(fails: Fails) -> None:
    class Mixes(Halves):
        def image(self, x: Tensor) -> Tensor:
            return torch.tanh(x - x.mean())

    assert "in a batch of two another output than alone" in fails(
        "batch-of-one", "generator", Mixes
    )


def test_deep_copies(fails: Fails) -> None:
    class Shares(Halves):
        def __init__(self, *, source_channels: int, target_channels: int) -> None:
            super().__init__(source_channels=source_channels, target_channels=target_channels)
            self.run = lambda x: Halves.forward(self, x)

        def forward(self, source: Tensor) -> Tensor:
            return self.run(source)

    class Locked(Halves):
        def __init__(self, *, source_channels: int, target_channels: int) -> None:
            super().__init__(source_channels=source_channels, target_channels=target_channels)
            import threading

            self.lock = threading.Lock()

    assert "can't be copied (TypeError" in fails("deep-copy", "generator", Locked)
    assert "computes with the original's weights" in fails("deep-copy", "generator", Shares)


def test_what_is_not_saved(fails: Fails) -> None:
    class Forgets(Halves):
        code: Tensor

        def __init__(self, *, source_channels: int, target_channels: int) -> None:
            super().__init__(source_channels=source_channels, target_channels=target_channels)
            self.register_buffer("code", torch.rand(1), persistent=False)

        def image(self, x: Tensor) -> Tensor:
            return torch.tanh(x + self.code)

    said = fails("safetensors", "generator", Forgets)
    assert "(perhaps 'code') must be a parameter or a persistent buffer" in said


def test_half_precision(fails: Fails) -> None:
    class Overflows(Halves):
        def image(self, x: Tensor) -> Tensor:
            return torch.tanh(x.to(torch.bfloat16) * 3e38 * 3e38 * 0.0)

    assert "not finite under bfloat16 autocast" in fails("half-precision", "generator", Overflows)


def test_channels(fails: Fails) -> None:
    class Colours(Halves):
        def __init__(self, *, source_channels: int, target_channels: int) -> None:
            super().__init__(source_channels=3, target_channels=target_channels)

    class Same(Halves):
        def __init__(self, *, source_channels: int, target_channels: int) -> None:
            super().__init__(source_channels=source_channels, target_channels=source_channels)

    assert "of 1 channels" in fails("channels", "generator", Colours)
    said = fails("channels", "generator", Same)
    assert "source_channels=1, target_channels=3 gives 1x1x32x32" in said
    assert "must give 1x3x32x32" in said


def test_square_images_only(fails: Fails) -> None:
    class Square(Halves):
        def image(self, x: Tensor) -> Tensor:
            return torch.tanh(x[..., : min(x.shape[-2:]), : min(x.shape[-2:])])

    assert "gives 32x32 pixels for 36x32" in fails("non-square", "generator", Square)


@pytest.mark.parametrize(
    ("declared", "sentence"),
    [
        (None, "declares no size_multiple: set self.size_multiple = 4"),
        (2, "declares size_multiple = 2, but can't translate 32x34 pixels to as many: declare "
            "size_multiple = 4."),
        (16, "declares size_multiple = 16, but multiples of 4 work as well: declare "
             "size_multiple = 4."),
        ((4, 8), "declares size_multiple = (4, 8), but multiples of 4 work as well"),
        ("four", "has size_multiple = 'four': set self.size_multiple = 4"),
    ],
)  # fmt: skip
def test_size_multiple(fails: Fails, declared: object, sentence: str) -> None:
    class Declares(Halves):
        size_multiple = declared

    assert sentence in fails("size-multiple", "generator", Declares)


def test_output_beyond_the_range(fails: Fails, ended: Callable[..., Result]) -> None:
    class Linear(Halves):
        def image(self, x: Tensor) -> Tensor:
            return x

    class Unbounded(Linear):
        bounded = False

    said = fails("range-of-output", "generator", Linear)
    assert "leaves [-1, 1]" in said
    assert "tanh, or declare self.bounded = False" in said
    assert ended("range-of-output", "generator", Unbounded).status == "passed"


def test_what_a_graph_can_not_hold(fails: Fails, ended: Callable[..., Result]) -> None:
    class Reads(Halves):
        def image(self, x: Tensor) -> Tensor:
            return torch.tanh(x) if x.abs().max() > 0.1 else x

    class Masks(Halves):
        def image(self, x: Tensor) -> Tensor:
            return torch.tanh(x) + x[x > 0].mean() * 0

    class SaysSo(Reads):
        capturable = False

    said = fails("capturable", "generator", Reads)
    assert "reads a tensor's value on the host" in said
    assert "in test_fail_networks.py:" in said
    assert "indexes by a mask" in fails("capturable", "generator", Masks)
    assert ended("capturable", "generator", SaysSo).status == "skipped"


def test_a_forward_that_stops(fails: Fails) -> None:
    class Stops(Halves):
        def forward(self, source: Tensor) -> Tensor:
            raise ZeroDivisionError("no such thing")

    said = fails("module", "generator", Stops)
    assert "stops on 256x256 pixels of 3 channels: ZeroDivisionError: no such thing." in said
