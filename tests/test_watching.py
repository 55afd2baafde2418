"""Augmentations that watch the discriminator: told once a step, kept in checkpoints."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import pytest
import torch
from pydantic import Field
from torch import Tensor, nn

from p2ptk.build import Parts, place
from p2ptk.checkpoint import newest_checkpoint
from p2ptk.components import create, register
from p2ptk.config import Train
from p2ptk.contracts import Judgement
from p2ptk.device import Precision
from p2ptk.feed import Batch
from p2ptk.observe import Observer
from p2ptk.pairs.augment import Judged, Keyed
from p2ptk.run import resume
from p2ptk.runfolder import RunFolder
from p2ptk.step import Step, Term, adversarial_step, critic_step

Tiny = Callable[..., Any]
CPU = torch.device("cpu")


class Watcher:
    """Adds to the image a number that it keeps, which moves by the mean logit of real images."""

    stage = "judge"

    def __init__(self, *, rate: Annotated[float, Field(gt=0)] = 0.1) -> None:
        self.rate = rate
        self.state = nn.Module()
        self.state.register_buffer("level", torch.zeros(()))
        self.calls: list[Judgement] = []

    def sample(self, numbers: Sequence[int], size: tuple[int, int], rng: Any) -> dict[str, Tensor]:
        return {"scale": torch.stack([torch.rand(1, 1, 1, generator=rng(n)) for n in numbers])}

    def apply(
        self, source: Tensor, target: Tensor, params: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        return source, target + self.state.level * params["scale"]

    def observe(self, judged_real: Judgement) -> dict[str, Tensor]:
        assert not torch.is_grad_enabled()
        self.calls.append(judged_real)
        self.state.level += self.rate * judged_real.logits[0].mean()
        return {"level": self.state.level}


@pytest.fixture(autouse=True)
def _registered() -> None:
    register("augmentation", "watch-test", Watcher)


def make(watcher: Watcher, *extra: Term) -> tuple[Any, list[Term]]:
    torch.manual_seed(0)
    channels = {"source_channels": 3, "target_channels": 3}
    generator = create("generator", "unet:depth=3,width=4,dropout=0.0,norm=instance", **channels)
    judge = create("discriminator", "patchgan:layers=1,width=4,norm=instance", **channels)
    terms = [Term("gan", create("loss", "gan")), *extra]
    parts = Parts(generator, judge, terms, [Keyed("w", watcher, "judge")])
    return place(parts, Train(), CPU, Precision("fp32", "cpu")), terms


def batch(size: int = 4) -> Batch:
    rng = torch.Generator().manual_seed(1)
    source, target = (torch.rand(size, 3, 16, 16, generator=rng) * 2 - 1 for _ in range(2))
    return Batch(source, target, numbers=tuple(range(size)))


def see(watcher: Watcher) -> Any:
    return Judged([Keyed("w", watcher, "judge")], 0, (16, 16), CPU).draw(range(4))


@pytest.mark.parametrize("accumulate", [1, 2])
def test_it_is_told_once_a_step_of_the_whole_batch(accumulate: int) -> None:
    watcher = Watcher()
    networks, terms = make(watcher, Term("l1", create("loss", "l1")))
    scalars = adversarial_step(
        networks, terms, batch(), Step(accumulate=accumulate, see=see(watcher))
    )
    assert [len(judged.logits[0]) for judged in watcher.calls] == [4]
    assert not watcher.calls[0].logits[0].requires_grad
    assert scalars["w_level"].item() == watcher.state.level.item() != 0
    with torch.no_grad():
        watcher.state.level += 1
    assert scalars["w_level"].item() != watcher.state.level.item()


def test_both_phases_see_the_same_and_parts_see_their_own() -> None:
    """The level moves after the step alone, and accumulation changes no sample's draw."""
    losses = []
    for accumulate in (1, 2):
        watcher = Watcher()
        watcher.state.level += 0.5
        networks, terms = make(watcher)
        step = Step(accumulate=accumulate, see=see(watcher))
        scalars = adversarial_step(networks, terms, batch(), step)
        losses.append({k: v.item() for k, v in scalars.items()})
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_it_is_not_told_where_d_does_not_judge() -> None:
    watcher = Watcher()
    networks, terms = make(watcher)
    adversarial_step(
        networks,
        [*terms, Term("l1", create("loss", "l1"))],
        batch(),
        Step(adversarial=False, see=see(watcher)),
    )
    assert watcher.calls == []
    scalars = critic_step(networks, terms, batch(), Step(see=see(watcher)))
    assert len(watcher.calls) == 1
    assert "w_level" in scalars


def test_terms_in_float32_are_seen_too() -> None:
    watcher = Watcher()
    networks, _ = make(watcher)
    adversarial_step(networks, [Term("r1", create("loss", "r1"))], batch(), Step(see=see(watcher)))
    assert len(watcher.calls) == 1


def everything(run: Path) -> dict[str, Tensor]:
    checkpoint, _ = newest_checkpoint(run)
    assert checkpoint is not None
    return {f"{n}/{k}": v for n in checkpoint.names for k, v in checkpoint.load(n).items()}


def test_a_resumed_run_goes_on_with_what_it_remembered(tiny: Tiny, tmp_path: Path) -> None:
    layer = {"augmentations": ["jitter", {"name": "watch-test", "rate": 0.5}]}
    tiny("straight", layer)
    tiny("halves", layer, stop_at=3)
    assert resume(RunFolder(tmp_path / "halves"), Observer()).finished
    a, b = everything(tmp_path / "straight"), everything(tmp_path / "halves")
    assert a["extras/augmentations.watch-test/level"].item() != 0
    assert a.keys() == b.keys()
    assert all(torch.equal(a[k], b[k]) for k in a)
    rows = [
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("straight", "halves")
    ]
    levels = [[row["watch-test_level"] for row in part] for part in rows]
    assert levels[0] == levels[1]
    assert len(set(levels[0])) == len(levels[0])
