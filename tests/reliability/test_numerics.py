"""Numbers that go wrong are named, and what is kept is from before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from p2ptk import Pair, Side
from p2ptk.checkpoint import newest_checkpoint
from p2ptk.errors import Diverged

Tiny = Callable[..., Any]
OFTEN = {"train": {"steps": 30}, "output": {"checkpoint_every": 1, "log_every": 10}}


class Loss:
    """The mean of the fake, made wrong from a step on."""

    def __init__(self, wrong: Callable[[Tensor], Tensor], begin: int, end: int = 10**9) -> None:
        self.wrong, self.steps = wrong, range(begin, end)

    def generator(self, t: Any) -> Tensor:
        value = t.fake.mean()
        return self.wrong(value) if t.step in self.steps else value


def kept_is_finite(run: Path) -> int:
    checkpoint, notes = newest_checkpoint(run)
    assert checkpoint is not None
    assert notes == []
    for name in ("generator", "discriminator", "optimizers"):
        assert all(torch.isfinite(x).all() for x in checkpoint.load(name).values()), name
    return checkpoint.step


def broken_gradient(value: Tensor) -> Tensor:
    """Finite, with a gradient that is not: the root of zero."""
    return (value - value).sqrt()


def test_weights_that_break_are_never_a_checkpoint(tiny: Tiny, tmp_path: Path) -> None:
    """The loss of step 5 is finite, its gradient is not: only the weights tell."""
    with pytest.raises(Diverged, match=r"step 5: a weight is not finite \(pairs: .*Step 5 is kept"):
        tiny("run", OFTEN, losses={"mine": Loss(broken_gradient, 5)})
    assert kept_is_finite(tmp_path / "run") == 5


@pytest.mark.parametrize("on_nan", ["stop", "skip"])
def test_a_rate_that_explodes(tiny: Tiny, tmp_path: Path, on_nan: str) -> None:
    layer = {"train": {"steps": 60, "lr": 1e38, "on_nan": on_nan}, "output": {"log_every": 20}}
    with pytest.raises(Diverged, match=r"step \d+: .* is not finite"):
        tiny("run", layer)


def test_a_run_ends_where_every_step_is_skipped(tiny: Tiny, tmp_path: Path) -> None:
    infinite = Loss(lambda x: x * float("inf"), 12)
    layer = {"train": {"on_nan": "skip"}, "output": {"checkpoint_every": 10}}
    with pytest.raises(Diverged, match=r"step 20: g_mine is not finite"):
        tiny("run", OFTEN, layer, losses={"mine": infinite})
    assert kept_is_finite(tmp_path / "run") == 20


class Arrays:
    """Pairs in memory, of which one holds what no file may."""

    a = b = Side(kind="values", range=(0.0, 1.0))

    def __init__(self, value: float) -> None:
        self.value = value

    def splits(self) -> tuple[str, ...]:
        return ("train", "val")

    def split(self, name: str) -> list[Pair]:
        found = []
        for i in range(5):
            x = torch.from_numpy(np.random.default_rng(i).random((3, 32, 32), np.float32))
            found.append(Pair(x, 1 - x, f"{name}-{i}"))
        if name == "train":
            found[3].target[0, 0, 0] = self.value
        return found


def test_pairs_that_hold_nan_are_named(tiny: Tiny) -> None:
    """Of files, read_image says so already (tests/datasets/test_images.py)."""
    layer = {"train": {"batch_size": 1, "steps": 12}, "augmentations": []}
    with pytest.raises(Diverged, match=r"\(pairs: train-3\)"):
        tiny("run", layer, dataset=Arrays(float("nan")))


def test_infinities_are_values_outside_the_range(tiny: Tiny, tmp_path: Path) -> None:
    """They are clipped to it, as all such are."""
    layer = {"train": {"batch_size": 1, "steps": 12}, "augmentations": []}
    assert tiny("run", layer, dataset=Arrays(float("inf"))).finished
    assert kept_is_finite(tmp_path / "run") == 12
