"""Batch sizes, tried out."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from p2ptk import probe as module
from p2ptk.build import resolve_config
from p2ptk.config import RunConfig
from p2ptk.data import build_data
from p2ptk.errors import UserError
from p2ptk.layers import layers_of
from p2ptk.probe import Trial, best, probe, settle_batch_size

TINY = {
    "size": 32,
    "generator": "unet:depth=3,width=4",
    "discriminator": "patchgan:layers=1,width=4",
    "precision": "fp32",
    "device": "cpu",
    "train": {"steps": 6, "batch_size": "auto"},
}


@pytest.fixture
def config(pairs: Path) -> Callable[..., RunConfig]:
    def make(**train: Any) -> RunConfig:
        data = {"name": "side-by-side", "path": str(pairs)}
        layers = ({"data": data}, {"train": train})
        return resolve_config(RunConfig.of(*layers_of({}), TINY, *layers))

    return make


def speeds(monkeypatch: pytest.MonkeyPatch, images_per_s: Sequence[float | None]) -> list[int]:
    """Have trials give these speeds, and memory grow by 1 GB a pair; the batches asked for."""
    asked: list[int] = []

    def measured(self: Any, batch: int) -> Trial | None:
        asked.append(batch)
        speed = images_per_s[len(asked) - 1]
        return None if speed is None else Trial(batch, speed, batch * 10**9)

    monkeypatch.setattr(module._Measure, "__call__", measured)
    monkeypatch.setattr(module, "free_memory", lambda device: 10**15)
    return asked


def test_real_steps_are_measured(config: Callable[..., RunConfig]) -> None:
    told: list[Trial] = []
    trials = probe(config(), seconds=0.01, tried=told.append)
    assert trials == told
    assert [t.batch for t in trials] == [1, 2, 4, 8][: len(trials)]
    assert len(trials) >= 2
    assert all(t.images_per_s > 1 and t.peak_bytes > 2**20 for t in trials)


@pytest.mark.parametrize(
    ("images_per_s", "asked", "chosen"),
    [
        ([1.0, 1.5, 1.6], [1, 2, 4], 2),
        ([1.0, 0.5], [1, 2], 1),
        ([1.0, 2.0, None], [1, 2, 4], 2),
        ([1.0, 2.0, 4.0, 8.0], [1, 2, 4, 8], 8),  # 9 pairs, so no 16
        ([1.0, None], [1, 2], 1),
    ],
)
def test_it_ends_where_no_more_is_gained(
    config: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch,
    images_per_s: list[float | None], asked: list[int], chosen: int,
) -> None:  # fmt: skip
    seen = speeds(monkeypatch, images_per_s)
    trials = probe(config())
    assert seen == asked
    assert best(trials).batch == chosen


def test_accumulated_batches_divide(
    config: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = speeds(monkeypatch, [1.0, 2.0, 4.0])
    probe(config(accumulate=3))
    assert seen == [3, 6]


def test_it_stops_before_main_memory_is_full(
    config: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = speeds(monkeypatch, [1.0, 2.0, 4.0, 8.0])
    monkeypatch.setattr(module, "free_memory", lambda device: 3 * 10**9)
    probe(config())
    assert seen == [1, 2, 4]  # 4 to 8 would take 4 GB


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("full"), RuntimeError("DefaultCPUAllocator: can't allocate memory")],
)
def test_a_batch_that_does_not_fit_ends_it(
    config: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    real, most = module.adversarial_step, 1

    def step(networks: Any, losses: Any, batch: Any, plan: Any) -> Any:
        if len(batch) > most:
            raise error
        return real(networks, losses, batch, plan)

    monkeypatch.setattr(module, "adversarial_step", step)
    assert [t.batch for t in probe(config(), seconds=0)] == [1]
    most = 0
    with pytest.raises(UserError, match="not even a batch of 1 at 32x32 fits in memory"):
        probe(config())


def test_other_errors_are_not_swallowed(
    config: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(*_: Any) -> Any:
        raise RuntimeError("a bug")

    monkeypatch.setattr(module, "adversarial_step", step)
    with pytest.raises(RuntimeError, match="a bug"):
        probe(config())


class Watching:
    """A judge-stage augmentation with a memory."""

    stage = "judge"

    def __init__(self) -> None:
        self.state = nn.Module()
        self.state.register_buffer("seen", torch.zeros(()))

    def sample(self, numbers: Any, size: Any, rng: Any) -> dict[str, torch.Tensor]:
        return {"n": torch.stack([torch.rand((), generator=rng(n)) for n in numbers])}

    def apply(self, source: Any, target: Any, params: Any) -> Any:
        return source, target

    def observe(self, judged_real: Any) -> dict[str, torch.Tensor]:
        self.state.seen += 1
        return {}


def test_nothing_is_left_behind(config: Callable[..., RunConfig]) -> None:
    from dataclasses import replace

    from p2ptk.pairs.augment import Keyed

    made = config()
    watching = Watching()
    data = build_data(made)
    data = replace(data, augmentations=(*data.augmentations, Keyed("w", watching, "judge")))
    generator = nn.Conv2d(3, 3, 1)
    weights = copy.deepcopy(generator.state_dict())
    torch.manual_seed(5)
    before = torch.get_rng_state()
    probe(made, data, seconds=0, generator=generator)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(x, weights[k]) for k, x in generator.state_dict().items())
    assert all(p.grad is None for p in generator.parameters())
    assert watching.state.seen == 0


def test_settling_writes_the_number_and_says_what_was_tried(
    config: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    speeds(monkeypatch, [10.0, 16.0, 16.5])
    said: list[str] = []
    settled = settle_batch_size(config(), build_data(config()), said.append)
    assert settled.train.batch_size == 2
    assert said[0] == "batch size 1: 10.0 images/s, 0.9 GiB"
    assert len(said) == 4
    assert said[-1].startswith("batch size 2 is taken")
    assert settle_batch_size(settled, build_data(settled), said.append) is settled
    assert len(said) == 4


def test_auto_is_auto_in_every_form() -> None:
    config = RunConfig.of({"train": {"batch_size": "auto"}})
    assert config.train.batch_size == 0
    assert RunConfig.of(tomllib.loads(config.toml())) == config


def test_a_run_records_the_number(
    tiny: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speeds(monkeypatch, [10.0, 16.0, 16.5])
    tiny("a", {"train": {"batch_size": "auto", "steps": 2}})
    table = tomllib.loads((tmp_path / "a" / "run.toml").read_text())
    assert table["train"]["batch_size"] == 2
    tiny("b", {"train": {"batch_size": 2, "steps": 2}})
    same = [(tmp_path / run / "generator.safetensors").read_bytes() for run in "ab"]
    assert same[0] == same[1]
