from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim import Optimizer

from p2ptk.checkpoint import (
    newest_checkpoint,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
)
from p2ptk.errors import UserError

TENSORS = {"generator": {"w": torch.arange(4.0)}, "extras": {}}


def steps(folder: Path) -> list[str]:
    return sorted(p.name for p in (folder / "checkpoints").iterdir())


def save(folder: Path, step: int, keep: int = 10) -> Path:
    return save_checkpoint(folder, step, TENSORS, {"best": 0.5, "lines": step}, keep)


def test_round_trip(tmp_path: Path) -> None:
    place = save(tmp_path, 400)
    assert place == tmp_path / "checkpoints" / "000400"
    names = sorted(p.name for p in place.iterdir())
    assert names == ["extras.safetensors", "generator.safetensors", "state.json"]
    found, notes = newest_checkpoint(tmp_path)
    assert notes == []
    assert found is not None
    assert (found.step, found.state) == (400, {"best": 0.5, "lines": 400})
    assert torch.equal(found.load("generator")["w"], torch.arange(4.0))
    assert found.load("extras") == {}
    assert "ema" not in found.names
    with pytest.raises(UserError, match="holds no 'ema', only generator, extras"):
        found.load("ema")


def test_no_checkpoint(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path) == (None, [])


def test_older_ones_are_pruned(tmp_path: Path) -> None:
    for step in (5, 10, 1_000_000):
        save(tmp_path, step, keep=2)
    assert steps(tmp_path) == ["000010", "1000000"]
    save(tmp_path, 2_000_000, keep=0)  # never the newest
    assert steps(tmp_path) == ["2000000"]


def test_saving_a_step_again_replaces_it_only_when_whole(tmp_path: Path) -> None:
    save(tmp_path, 5)
    save(tmp_path, 10)
    again = save_checkpoint(tmp_path, 10, TENSORS, {"again": True}, keep=2)
    assert steps(tmp_path) == ["000005", again.name]
    found, _ = newest_checkpoint(tmp_path)
    assert found is not None
    assert found.state == {"again": True}
    save_checkpoint(tmp_path, 10, TENSORS, {"again": 2}, keep=2)
    found, _ = newest_checkpoint(tmp_path)
    assert found is not None
    assert found.state == {"again": 2}


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda p: flip(p / "generator.safetensors"), "content of generator.safetensors"),
        (lambda p: (p / "extras.safetensors").unlink(), "extras.safetensors is missing"),
        (lambda p: (p / "state.json").unlink(), "it has no state.json"),
        (lambda p: (p / "state.json").write_text("{"), "its state.json can't be read"),
        (lambda p: (p / "state.json").write_text("[]"), "its state.json can't be read"),
        (lambda p: (p / "state.json").write_text('{"format": 1}'), "can't be read"),
    ],
)
def test_damaged_ones_are_skipped_with_a_sentence(
    tmp_path: Path, damage: Callable[[Path], object], words: str
) -> None:
    save(tmp_path, 1)
    damage(save(tmp_path, 2))
    found, notes = newest_checkpoint(tmp_path)
    assert found is not None
    assert found.step == 1
    assert len(notes) == 1
    assert "000002 is damaged" in notes[0]
    assert words in notes[0]
    # The same step can be saved anew, and counts.
    save(tmp_path, 2)
    found, _ = newest_checkpoint(tmp_path)
    assert found is not None
    assert found.step == 2


def test_a_newer_format_is_refused_not_skipped(tmp_path: Path) -> None:
    save(tmp_path, 1)
    state = save(tmp_path, 2) / "state.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | {"format": 2, "version": "9.0"}))
    with pytest.raises(UserError, match=r"format 2, written by p2ptk 9\.0"):
        newest_checkpoint(tmp_path)


def test_what_a_killed_process_left_does_not_count_and_goes(tmp_path: Path) -> None:
    code = """
import os, sys, torch
from p2ptk import checkpoint
save = checkpoint.save_tensors
def dies(place, tensors):
    save(place, tensors)
    os._exit(9)
checkpoint.save_checkpoint(sys.argv[1], 1, {"generator": {"w": torch.ones(1)}}, {}, 2)
checkpoint.save_tensors = dies
checkpoint.save_checkpoint(sys.argv[1], 2, {"generator": {"w": torch.ones(1)}}, {}, 2)
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert len(steps(tmp_path)) == 2
    found, notes = newest_checkpoint(tmp_path)
    assert found is not None
    assert (found.step, notes) == (1, [])
    save(tmp_path, 3)
    assert steps(tmp_path) == ["000001", "000003"]


def test_a_failing_save_leaves_the_others(tmp_path: Path) -> None:
    save(tmp_path, 1)
    with pytest.raises(TypeError):
        save_checkpoint(tmp_path, 2, TENSORS, {"x": object()}, keep=1)
    assert steps(tmp_path) == ["000001"]


MAKERS: dict[str, Callable[[list[nn.Parameter]], Optimizer]] = {
    "adam": lambda p: torch.optim.Adam(p, 1e-2, betas=(0.5, 0.999), foreach=False),
    "adam-foreach": lambda p: torch.optim.Adam(p, 1e-2, foreach=True),
    "adam-fused": lambda p: torch.optim.Adam(p, 1e-2, fused=True),
    "amsgrad": lambda p: torch.optim.Adam(p, 1e-2, amsgrad=True, fused=True),
    "adamw-fused": lambda p: torch.optim.AdamW(p, 1e-2, weight_decay=0.1, fused=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, 1e-2, momentum=0.5, centered=True),
    "sgd": lambda p: torch.optim.SGD(p, 1e-2),
    "sgd-momentum": lambda p: torch.optim.SGD(p, 1e-2, momentum=0.9, fused=True),
}


def net() -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3))
    layers.unused = nn.Parameter(torch.zeros(2))
    return layers.to(memory_format=torch.channels_last)


def train(module: nn.Module, optimizer: Optimizer, numbers: range) -> None:
    for number in numbers:
        x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(number))
        optimizer.zero_grad()
        module(x).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize("kind", MAKERS)
def test_a_restored_optimiser_goes_on_bit_for_bit(tmp_path: Path, kind: str) -> None:
    straight = net()
    optimizer = MAKERS[kind](list(straight.parameters()))
    train(straight, optimizer, range(3))
    groups = {
        "generator": straight.state_dict(),
        "optimizers": optimizer_tensors(optimizer, straight.named_parameters()),
    }
    save_checkpoint(tmp_path, 3, groups, {}, keep=1)
    train(straight, optimizer, range(3, 6))

    checkpoint, _ = newest_checkpoint(tmp_path)
    assert checkpoint is not None
    resumed = net()
    resumed.load_state_dict(checkpoint.load("generator"))
    other = MAKERS[kind](list(resumed.parameters()))
    train(resumed, other, range(90, 91))  # whatever it held before is replaced
    resumed.load_state_dict(checkpoint.load("generator"))
    restore_optimizer(other, resumed.named_parameters(), checkpoint.load("optimizers"))
    train(resumed, other, range(3, 6))

    for name, tensor in straight.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    ours = optimizer_tensors(optimizer, straight.named_parameters())
    theirs = optimizer_tensors(other, resumed.named_parameters())
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[k], theirs[k]) for k in ours)


def test_state_is_keyed_by_parameter_name_and_groups_are_not_stored() -> None:
    module = net()
    optimizer = MAKERS["adam-fused"](list(module.parameters()))
    train(module, optimizer, range(1))
    tensors = optimizer_tensors(optimizer, module.named_parameters())
    assert {"0.weight/step", "0.weight/exp_avg", "0.weight/exp_avg_sq"} <= tensors.keys()
    assert not any(name.startswith("unused") for name in tensors)
    fresh = torch.optim.Adam(module.parameters(), lr=7.0)
    restore_optimizer(fresh, module.named_parameters(), tensors)
    assert fresh.param_groups[0]["lr"] == 7.0
    state = fresh.state[module[0].weight]
    assert state["exp_avg"].is_contiguous(memory_format=torch.channels_last)


def test_plain_numbers_come_back_as_they_were() -> None:
    parameter = nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([parameter], 0.1)
    optimizer.state[parameter] = {"n": 3, "x": 0.1, "on": True, "none": None}
    tensors = optimizer_tensors(optimizer, [("p", parameter)])
    other = torch.optim.SGD([parameter], 0.1)
    restore_optimizer(other, [("p", parameter)], tensors)
    state = other.state[parameter]
    assert state == {"n": 3, "x": 0.1, "on": True}
    assert [type(v) for v in state.values()] == [int, float, bool]


def test_state_that_does_not_fit_is_refused() -> None:
    parameter = nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.Adam([parameter])
    with pytest.raises(UserError, match="optimiser state is for 'q', not trained here"):
        restore_optimizer(optimizer, [("p", parameter)], {"q/step": torch.ones(())})
    with pytest.raises(UserError, match="'p/exp_avg' is 3, its parameter is 2"):
        restore_optimizer(optimizer, [("p", parameter)], {"p/exp_avg": torch.ones(3)})


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_fused_steps_on_the_gpu_are_counted_there(tmp_path: Path) -> None:
    module = net().cuda()
    optimizer = torch.optim.Adam(module.parameters(), fused=True)
    for _ in range(2):
        module(torch.ones(1, 3, 8, 8, device="cuda")).square().mean().backward()
        optimizer.step()
    tensors = optimizer_tensors(optimizer, module.named_parameters())
    save_checkpoint(tmp_path, 2, {"optimizers": tensors}, {}, keep=1)
    checkpoint, _ = newest_checkpoint(tmp_path)
    assert checkpoint is not None
    other = torch.optim.Adam(module.parameters(), fused=True)
    restore_optimizer(other, module.named_parameters(), checkpoint.load("optimizers"))
    again = optimizer_tensors(other, module.named_parameters())
    assert all(torch.equal(again[name], tensor) for name, tensor in tensors.items())
    assert all(tensor.is_cuda for tensor in again.values())
    other.step()
