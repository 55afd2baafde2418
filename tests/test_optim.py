"""Optimisers, schedules, the average."""

from __future__ import annotations

import math
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from p2ptk.config import Train
from p2ptk.device import Precision
from p2ptk.optim import Average, lr_factor, make_updater, plain

PLAIN = Precision("fp32", "cpu")


def test_linear_decay_is_constant_then_falls_and_never_reaches_zero() -> None:
    train = Train(schedule="linear", decay_from=0.5)
    factors = [lr_factor(train, step, 200) for step in range(200)]
    assert factors[:101] == [1.0] * 101
    assert factors[150] == 0.5
    assert factors[-1] == pytest.approx(0.01)


def test_cosine_falls_once() -> None:
    factors = [lr_factor(Train(schedule="cosine"), step, 100) for step in range(100)]
    assert factors[0] == 1.0
    assert factors[50] == pytest.approx(0.5)
    assert all(a > b for a, b in pairwise(factors))


@given(
    st.sampled_from(["linear", "constant", "cosine"]),
    st.integers(1, 1000),
    st.integers(0, 50),
    st.floats(0, 1),
    st.data(),
)
def test_factor_is_within_0_and_1(
    schedule: Any, total: int, warmup: int, decay_from: float, data: st.DataObject
) -> None:
    step = data.draw(st.integers(0, total - 1))
    train = Train(schedule=schedule, warmup_steps=warmup, decay_from=decay_from)
    assert 0 < lr_factor(train, step, total) <= 1


def test_warm_up_rises_from_the_first_step() -> None:
    train = Train(schedule="constant", warmup_steps=4)
    assert [lr_factor(train, s, 100) for s in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop"])
def test_a_step_that_is_not_finite_is_skipped(optimizer: Any) -> None:
    net = nn.Linear(3, 1)
    updater = make_updater(net.named_parameters(), Train(optimizer=optimizer), "g", PLAIN.scaler())

    def update(factor: float) -> None:
        loss = net(torch.ones(2, 3)).sum() * factor
        updater.backward(loss)
        updater.step(torch.isfinite(loss))

    update(1.0)
    before = [p.detach().clone() for p in net.parameters()]
    update(float("nan"))
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    assert all(p.grad is None for p in net.parameters())
    update(1.0)
    assert not any(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_an_update_in_the_backward_pass_is_the_same_update(optimizer: Any) -> None:
    """Also of a weight that the network uses twice; and no gradient is left over."""
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    train = Train(optimizer=optimizer, lr=1e-2, weight_decay=0.1)
    ended = []
    for side in ("g", "d"):  # only G's are early
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6))
        updater = make_updater(net.named_parameters(), train, side, PLAIN.scaler())
        assert updater.early == (side == "g")
        for number in range(4):
            loss = net(net(x)).square().mean() * (math.nan if number == 1 else 1)
            updater.backward(loss, only=True)
            gone = all(p.grad is None for p in net.parameters())
            assert gone == (side == "g" and number != 1)
            updater.step(torch.isfinite(loss))
        ended.append(net.state_dict())
        assert all(updater.optimizer.state[p]["step"] == 3 for p in net.parameters())
    assert all(torch.equal(ended[0][name], ended[1][name]) for name in ended[0])


def test_gradients_that_add_up_wait_for_the_last_part() -> None:
    net = nn.Linear(2, 2)
    updater = make_updater(net.named_parameters(), Train(), "g", PLAIN.scaler())
    before = net.weight.detach().clone()
    for _ in range(2):
        updater.backward(net(torch.ones(1, 2)).sum())
    assert net.weight.grad is not None
    assert torch.equal(net.weight.grad, torch.full((2, 2), 2.0))
    assert torch.equal(net.weight, before)


def test_each_side_has_its_own_rates() -> None:
    train = Train(lr=1e-3, lr_d=4e-3, betas_d=(0.0, 0.9), weight_decay_g=0.1)
    g, d = (
        make_updater(nn.Linear(1, 1).named_parameters(), train, side, PLAIN.scaler())
        for side in ("g", "d")
    )
    assert g.optimizer.defaults["lr"] == 1e-3
    assert d.optimizer.defaults["lr"] == 4e-3
    assert (g.optimizer.defaults["betas"], d.optimizer.defaults["betas"]) == (
        (0.5, 0.999),
        (0.0, 0.9),
    )
    assert (g.optimizer.defaults["weight_decay"], d.optimizer.defaults["weight_decay"]) == (0.1, 0)


def test_a_frozen_parameter_does_not_join() -> None:
    net = nn.Linear(2, 2)
    net.bias.requires_grad_(False)
    updater = make_updater(net.named_parameters(), Train(), "g", PLAIN.scaler())
    assert list(updater.parameters) == ["weight"]


def test_average_is_the_exponential_one() -> None:
    net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    average = Average(net, 0.9)
    expected = net[0].weight.item()
    for step in range(30):
        with torch.no_grad():
            net[0].weight.fill_(step)
        net[1].running_mean.fill_(step)
        average.update(net, step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    assert average.module[0].weight.item() == pytest.approx(expected, rel=1e-5)  # type: ignore[index,union-attr]
    assert average.module[1].running_mean.item() == 29  # type: ignore[index,union-attr]
    assert not any(p.requires_grad for p in average.module.parameters())


@pytest.mark.parametrize("name", ["Adam", "AdamW", "SGD", "RMSprop"])
def test_undecorated_optimisers_are_torchs(name: str) -> None:
    """Step for step the same numbers, and state under the same names."""
    kind = getattr(torch.optim, name)
    torch.manual_seed(0)
    theirs = [torch.randn(5, 3, requires_grad=True), torch.randn(4, requires_grad=True)]
    ours = [p.detach().clone().requires_grad_() for p in theirs]
    options = {} if name == "RMSprop" else {"fused": True}
    optimisers = [kind(theirs, lr=0.1, **options), plain(kind)(ours, lr=0.1, **options)]
    assert isinstance(optimisers[1], kind)
    for _ in range(3):
        for parameters, optimiser in zip((theirs, ours), optimisers, strict=True):
            sum((p.cos() * p).sum() for p in parameters).backward()
            optimiser.step()
            optimiser.zero_grad()
            assert all(p.grad is None for p in parameters)
        assert all(torch.equal(p, q) for p, q in zip(theirs, ours, strict=True))
    states = [
        optimiser.state[p] for optimiser, p in zip(optimisers, (theirs[0], ours[0]), strict=True)
    ]
    assert states[0].keys() == states[1].keys()


@pytest.mark.slow
def test_training_does_not_load_torchs_compiler(pairs: Path, tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from p2ptk.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print([m for m in ('torch._dynamo', 'torch._inductor', 'sympy', 'scipy', 'matplotlib')\n"
        "       if m in sys.modules])\n"
    )
    options = [
        "run", "-d", pairs, "--size", "32", "-G", "unet:depth=3,width=4", "--steps", "1",
        "-D", "patchgan:layers=1,width=4", "--device", "cpu", "-o", tmp_path / "run", "--json",
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, options)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
