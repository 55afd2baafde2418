"""Recorded steps: the same numbers as plain ones, and a plain step where none can be recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from p2ptk.build import Parts, place
from p2ptk.capture import WATCHED, CapturedSteps, Steps, choose_steps
from p2ptk.components import create
from p2ptk.config import Train
from p2ptk.contracts import Translation
from p2ptk.device import Precision, prepare
from p2ptk.errors import UserError
from p2ptk.feed import Batch
from p2ptk.init import initialise
from p2ptk.meters import NonFinite, Sums
from p2ptk.pairs.augment import Drawn
from p2ptk.recording import CUDARecorder, Scalars
from p2ptk.step import Networks, Step, Term

RGB = {"source_channels": 3, "target_channels": 3}
CPU = torch.device("cpu")


class Rerun:
    """Records by keeping the function, and replays by calling it: what a graph does, on a CPU."""

    def __init__(self, fails: Exception | None = None, waits: str = "") -> None:
        self.fails, self.waits = fails, waits
        self.recorded = self.replayed = 0

    def aside(self, function: Callable[[], Scalars]) -> tuple[Scalars, str]:
        return function(), self.waits

    def record(self, function: Callable[[], Scalars]) -> tuple[Callable[[], object], Scalars]:
        if self.fails:
            function()  # a graph would not run it, but gradients and flags are left behind
            raise self.fails
        self.recorded += 1
        scalars: Scalars = {}

        def replay() -> None:
            self.replayed += 1
            scalars.update(function())

        return replay, scalars


def terms(*more: Term, **gan: Any) -> list[Term]:
    l1 = Term("l1", create("loss", "l1"), 100.0)
    return [Term("gan", create("loss", {"name": "gan", **gan})), l1, *more]


def networks(
    losses: list[Term],
    device: torch.device = CPU,
    precision: str = "fp32",
    dropout: float = 0.5,
    watching: Any = None,
    **train: Any,
) -> Networks:
    made: list[nn.Module] = []
    torch.manual_seed(0)
    for kind, spec in (
        ("generator", f"unet:depth=4,width=8,dropout={dropout},dropout_at=paper"),
        ("discriminator", "patchgan:layers=1,width=8"),
    ):
        made.append(create(kind, spec, **RGB))
        initialise(made[-1])
    parts = Parts(made[0], made[1], losses, [])
    placed = place(parts, Train(**train), device, Precision(precision, device.type))  # type: ignore[arg-type]
    if watching is not None:
        placed.watching = {"watching": watching}
    return placed


def batch(number: int, device: torch.device = CPU, size: int = 2) -> Batch:
    rng = torch.Generator().manual_seed(number)
    source = (torch.rand(size, 3, 32, 32, generator=rng) * 2 - 1).to(device)
    return Batch(source, -source.flip(1), {"mask": source[:, :1]}, numbers=(number,) * size)


def train(steps: Steps, count: int = 8, **step: Any) -> list[dict[str, float]]:
    """The scalars of so many steps at falling rates."""
    rows = []
    for number in range(count):
        for updater in (steps.networks.g, steps.networks.d):
            assert updater is not None
            updater.set_lr(1e-3 / (1 + number))
        device = next(steps.networks.generator.parameters()).device
        how = {k: v(number) if callable(v) else v for k, v in step.items()}
        plan = Step(**{"number": number, "epoch": number / 3, "seed": 100 + number, **how})
        scalars = steps.adversarial(batch(number, device), plan)
        rows.append({name: value.item() for name, value in scalars.items()})
    return rows


def same(a: Networks, b: Networks) -> bool:
    """Whether weights and buffers are equal, bit for bit."""
    pairs = [(a.generator, b.generator), (a.discriminator, b.discriminator)]
    return all(
        torch.equal(x, y)
        for one, other in pairs
        if one is not None and other is not None
        for x, y in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    )


def captured(losses: list[Term], recorder: Any = None, **options: Any) -> CapturedSteps:
    notes: list[str] = []
    made = CapturedSteps(networks(losses, **options), losses, recorder or Rerun(), notes.append)
    made.said = notes  # type: ignore[attr-defined]
    return made


def said(steps: CapturedSteps) -> list[str]:
    return steps.said  # type: ignore[attr-defined]


@pytest.mark.parametrize("judge", ["after", "before"])
def test_replays_are_the_steps_themselves(judge: Any) -> None:
    """Batches, dropout and learning rates differ from step to step; nothing is recorded twice."""
    steps, plain = captured(terms()), Steps(networks(terms()), terms())
    assert train(steps, judge=judge) == train(plain, judge=judge)
    assert same(steps.networks, plain.networks)
    assert (steps.recorder.recorded, steps.recorder.replayed) == (1, 8 - WATCHED)  # type: ignore[attr-defined]
    assert not said(steps)


def test_a_lazy_term_has_a_recording_of_its_own() -> None:
    losses = terms(Term("r1", create("loss", "r1"), every=3))
    steps, plain = captured(losses), Steps(networks(losses), losses)
    rows = train(steps, 16)
    assert rows == train(plain, 16)
    assert [i for i, row in enumerate(rows) if "d_r1" in row] == list(range(0, 16, 3))
    assert steps.recorder.recorded == 2  # type: ignore[attr-defined]


def test_the_critics_steps_and_other_shapes_are_recorded_apart() -> None:
    losses = terms()
    steps, plain = captured(losses), Steps(networks(losses), losses)
    for made in (steps, plain):
        for number in range(6):
            made.critic(batch(number), Step(number, seed=number))
            made.adversarial(batch(number), Step(number, seed=number))
            made.adversarial(batch(number, size=3), Step(number, seed=number))
    assert steps.recorder.recorded == 3  # type: ignore[attr-defined]
    assert same(steps.networks, plain.networks)


def test_what_judge_stage_augmentations_draw_goes_into_a_replay() -> None:
    def see(number: int) -> Drawn:
        brighter = SimpleNamespace(apply=lambda a, b, drawn: (a, b + drawn["by"]))
        return Drawn(((brighter, {"by": torch.full((2, 1, 1, 1), number / 10)}),))

    steps, plain = captured(terms()), Steps(networks(terms()), terms())
    assert train(steps, see=see) == train(plain, see=see)
    assert steps.recorder.replayed > 0  # type: ignore[attr-defined]


class Reads:
    """A loss that uses one of the host's numbers."""

    def __init__(self, name: str) -> None:
        self.name = name

    def generator(self, t: Translation) -> Tensor:
        return t.fake.square().mean() * (0.0 if getattr(t, self.name) is None else 1.0)


class Replaces(nn.Module):
    """A loss that makes a new buffer each time."""

    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(()))

    def generator(self, t: Translation) -> Tensor:
        self.count = self.count + 1
        return t.fake.square().mean()


class Declares(Reads):
    capturable = False


@pytest.mark.parametrize(
    ("loss", "options", "step", "reason"),
    [
        (Reads("rng"), {}, {}, "a loss uses t.rng"),
        (Reads("step"), {}, {}, "a loss uses t.step"),
        (Reads("epoch"), {}, {}, "a loss uses t.epoch"),
        (Replaces(), {}, {}, "other.count is replaced"),
        (Declares("fake"), {}, {}, "the loss 'other' declares capturable = False"),
        (None, {"pool": 2}, {}, "train.pool"),
        (None, {"optimizer": "rmsprop"}, {}, "RMSprop waits"),
        (None, {}, {"accumulate": 2}, "train.accumulate"),
    ],
)
def test_what_a_graph_cant_follow_runs_without(
    loss: Any, options: Any, step: Any, reason: str
) -> None:
    losses = terms(*([Term("other", loss)] if loss else []))
    steps, plain = captured(losses, **options), Steps(networks(losses, **options), losses)
    assert train(steps, **step) == train(plain, **step)
    assert same(steps.networks, plain.networks)
    assert steps.recorder.recorded == 0  # type: ignore[attr-defined]
    (line,) = said(steps)
    assert line.startswith(f"steps run without a CUDA graph: {reason}")


def test_a_step_that_waits_for_the_device_is_not_recorded() -> None:
    steps = captured(terms(), Rerun(waits="mine.py:7"))
    train(steps)
    assert steps.recorder.recorded == 0  # type: ignore[attr-defined]
    assert said(steps) == ["steps run without a CUDA graph: mine.py:7 waits for the device"]


def test_a_recording_that_fails_leaves_plain_steps() -> None:
    steps = captured(terms(), Rerun(RuntimeError("operation not permitted\nwhen capturing")))
    rows = train(steps)
    assert len(rows) == 8
    assert all(p.grad is None for p in steps.networks.g.parameters.values())
    assert said(steps) == ["steps run without a CUDA graph: operation not permitted"]


def test_a_users_error_is_not_swallowed() -> None:
    steps = captured(terms(), Rerun(UserError("no.")))
    with pytest.raises(UserError):
        train(steps)


def test_a_broken_off_update_is_forgotten() -> None:
    """A gradient scaler that was asked to step refuses to do so twice."""
    made = networks(terms()).g
    made.scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    for _ in range(2):
        loss = sum((p.sum() for p in made.parameters.values()), torch.zeros(()))
        made.backward(loss)
        made.scaler.step(made.optimizer)
        made.forget()
    assert made.scaler.get_scale() == 8.0
    assert all(p.grad is None for p in made.parameters.values())


def test_sums_keep_no_tensor_that_is_overwritten() -> None:
    sums, place_of = Sums(), torch.zeros(())
    for value in (1.0, 3.0):
        sums.add({"a": place_of.fill_(value), "b": place_of})
    sums.add({"a": place_of.fill_(5.0)})
    place_of.fill_(100.0)
    assert sums.means() == {"a": 3.0, "b": 2.0}
    assert sums.means() == {}


def test_without_a_gpu_steps_are_plain() -> None:
    losses = terms()
    assert type(choose_steps(networks(losses), losses, CPU, True, print)) is Steps


# What follows needs a GPU.

GPU = torch.device("cuda", 0)


@pytest.fixture
def exact() -> Iterator[None]:
    """The same bits on every run."""
    prepare(GPU, deterministic=True)
    yield
    prepare(GPU, deterministic=False)


def on_gpu(losses: list[Term], graph: bool = True, **options: Any) -> Steps:
    notes: list[str] = []
    made = choose_steps(networks(losses, GPU, **options), losses, GPU, graph, notes.append)
    made.said = notes  # type: ignore[attr-defined]
    return made


def close(a: list[dict[str, float]], b: list[dict[str, float]]) -> bool:
    return all(x == pytest.approx(y, rel=1e-4, abs=1e-6) for x, y in zip(a, b, strict=True))


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_graph_equals_eager(exact: None, precision: str, dropout: float) -> None:
    """With dropout: seeding before a replay gives the masks that seeding before a step gives."""
    rows = []
    for graph in (False, True):
        steps = on_gpu(terms(), graph, precision=precision, dropout=dropout)
        rows.append(train(steps, 12))
    assert isinstance(steps, CapturedSteps)
    assert len(steps.recordings) == 1
    assert not said(steps)
    assert close(*rows)


@pytest.mark.gpu
def test_dropout_in_a_replay_is_seeded_before_it() -> None:
    recorder, ones = CUDARecorder(GPU), torch.ones(4, 64, device=GPU)

    def draw() -> Scalars:
        first = torch.nn.functional.dropout(ones)
        return {"first": first, "second": torch.nn.functional.dropout(ones)}

    recorder.aside(draw)
    replay, drawn = recorder.record(draw)
    for seed in (3, 4, 3):
        torch.manual_seed(seed)
        replay()
        torch.manual_seed(seed)
        assert all(torch.equal(drawn[k], v) for k, v in draw().items())
    assert not torch.equal(drawn["first"], drawn["second"])


@pytest.mark.gpu
def test_nothing_waits_for_the_device() -> None:
    """Fifty steps with the sums and flags of a run, in torch's mode that forbids it."""
    losses = terms(Term("r1", create("loss", "r1"), every=4))
    steps, sums, bad = on_gpu(losses), Sums(), NonFinite(GPU)
    train(steps, 16)
    batches = [batch(number, GPU) for number in range(5)]
    torch.cuda.set_sync_debug_mode("error")
    try:
        for number in range(50):
            steps.networks.g.set_lr(1e-3 / (1 + number))
            scalars = steps.adversarial(batches[number % 5], Step(number, seed=number))
            bad.note(scalars.pop("finite"), number)
            sums.add(scalars)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert bad.first() is None
    assert set(sums.means()) >= {"g_l1", "d_r1"}
    assert len(steps.recordings) == 2  # type: ignore[attr-defined]


@pytest.mark.gpu
def test_the_learning_rate_changes_without_another_recording() -> None:
    losses = terms()
    steps = on_gpu(losses)
    train(steps, 6)
    weights = steps.networks.generator.state_dict()
    before = {name: x.clone() for name, x in weights.items() if "weight" in name}
    steps.networks.g.set_lr(0.0)
    steps.adversarial(batch(7, GPU), Step(7, seed=7))
    assert all(torch.equal(x, weights[name]) for name, x in before.items())
    steps.networks.g.set_lr(1e-3)
    steps.adversarial(batch(8, GPU), Step(8, seed=8))
    assert not all(torch.equal(x, weights[name]) for name, x in before.items())
    assert len(steps.recordings) == 1  # type: ignore[attr-defined]


class Waits:
    """A loss that asks the device for a number, from some call on."""

    def __init__(self, patience: int) -> None:
        self.patience = patience

    def generator(self, t: Translation) -> Tensor:
        self.patience -= 1
        scale = 1.0 if self.patience >= 0 else float(t.fake.detach().abs().mean() > -1)
        return t.fake.square().mean() * scale


@pytest.mark.gpu
@pytest.mark.parametrize("patience", [0, WATCHED], ids=["seen before", "seen while recording"])
def test_a_loss_that_waits_runs_without_a_graph(exact: None, patience: int) -> None:
    rows = []
    for graph in (False, True):
        losses = terms(Term("waits", Waits(patience)))
        steps = on_gpu(losses, graph)
        rows.append(train(steps, 10))
    assert not steps.recordings  # type: ignore[attr-defined]
    assert len(said(steps)) == 1  # type: ignore[arg-type]
    assert close(*rows)


@pytest.mark.gpu
def test_a_scaler_in_a_graph_skips_what_overflows() -> None:
    losses = terms()
    steps = on_gpu(losses, precision="fp16", dropout=0.0)
    train(steps, 6)
    scaler = steps.networks.g.scaler
    before = scaler.get_scale()
    weights = [p.detach().clone() for p in steps.networks.generator.parameters()]
    broken = batch(9, GPU)
    broken.source[0, 0, 0, 0] = float("inf")
    steps.adversarial(broken, Step(9, seed=9))
    assert scaler.get_scale() == before / 2
    now = steps.networks.generator.parameters()
    assert all(torch.equal(a, b) for a, b in zip(weights, now, strict=True))
