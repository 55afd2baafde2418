"""Components that raise, or change what is everyone's, are named, and the run can be resumed."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from p2ptk.blame import Blamed
from p2ptk.checkpoint import newest_checkpoint
from p2ptk.components import create, register
from p2ptk.observe import Observer
from p2ptk.run import resume
from p2ptk.runfolder import RunFolder

Tiny = Callable[..., Any]
OFTEN = {"output": {"checkpoint_every": 2, "log_every": 1}}


class Raises:
    """A loss that fails at a step."""

    def __init__(self, *, at: int = 4) -> None:
        self.at = at

    def generator(self, t: Any) -> Tensor:
        if t.step == self.at:
            raise IndexError("list index out of range")
        return t.fake.mean()


class Net(nn.Module):
    size_multiple = 1

    def __init__(self, *, source_channels: int, target_channels: int) -> None:
        super().__init__()
        self.layer = nn.Conv2d(source_channels, target_channels, 1)
        self.calls = 0

    def forward(self, source: Tensor) -> Tensor:
        self.calls += 1
        if self.calls > 4:
            raise RuntimeError("shapes do not fit\nat all")
        return self.layer(source)


def test_a_loss_that_raises_is_named_and_the_run_is_safe(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(Blamed, match="the loss 'mine' failed at step 4: IndexError: list index"):
        tiny("run", OFTEN, losses={"mine": Raises()})
    checkpoint, notes = newest_checkpoint(tmp_path / "run")
    assert checkpoint is not None
    assert (checkpoint.step, notes) == (4, [])


def test_a_generator_that_raises_is_named(tiny: Tiny) -> None:
    net = Net(source_channels=3, target_channels=3)
    with pytest.raises(Blamed, match=r"the generator .* RuntimeError: shapes do not fit \(-v"):
        tiny("run", OFTEN, generator=net)


class Doubles:
    def __init__(self) -> None:
        torch.set_default_dtype(torch.float64)

    def generator(self, t: Any) -> Tensor:
        return t.fake.mean()


def test_a_switch_changed_at_building_is_named_and_put_back() -> None:
    register("loss", "doubles", Doubles)
    with pytest.raises(Blamed, match=r"the loss 'doubles' of .* default dtype from torch.float32"):
        create("loss", "doubles")
    assert torch.get_default_dtype() == torch.float32


class DoublesLater:
    def generator(self, t: Any) -> Tensor:
        torch.set_default_dtype(torch.float64)
        return t.fake.mean()


def test_a_switch_changed_in_a_step_ends_the_run(tiny: Tiny) -> None:
    try:
        with pytest.raises(Blamed, match="by step 1 a part of the run has changed torch's default"):
            tiny("run", OFTEN, losses={"doubles": DoublesLater()})
    finally:
        torch.set_default_dtype(torch.float32)


class Listener(Observer):
    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


class Seeds:
    """Puts all generators back, at every step: nothing of the run draws from them."""

    def generator(self, t: Any) -> Tensor:
        torch.manual_seed(0)
        random.seed(t.step)
        np.random.seed(t.step)  # noqa: NPY002
        return t.fake.abs().mean()


def test_who_seeds_everyones_generators_changes_no_resumed_run(tiny: Tiny, tmp_path: Path) -> None:
    register("loss", "seeds", Seeds)
    observer = Listener()
    layer = {**OFTEN, "losses": ["gan", "seeds"]}
    tiny("whole", layer)
    tiny("halves", layer, stop_at=3)
    resume(RunFolder(tmp_path / "halves"), observer)
    assert sum("draws from numpy's global generator" in line for line in observer.said) == 1
    assert sum("draws from Python's global generator" in line for line in observer.said) == 1
    first, second = (newest_checkpoint(tmp_path / run)[0] for run in ("whole", "halves"))
    assert first is not None
    assert second is not None
    ours, theirs = first.load("generator"), second.load("generator")
    assert all(torch.equal(ours[k], theirs[k]) for k in ours)


AT_EXIT = """
import atexit

from torch import Tensor


def fail() -> None:
    raise RuntimeError("too late")


atexit.register(fail)


class Late:
    def __init__(self) -> None: ...

    def generator(self, t) -> Tensor:
        return t.fake.mean()
"""


def test_a_plugin_that_raises_at_exit_harms_no_run(pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "late.py").write_text(AT_EXIT)
    run = tmp_path / "run"
    command = [
        sys.executable, "-m", "p2ptk", "run", "-d", str(pairs), "-L", f"+{tmp_path}/late.py:Late",
        "-G", "unet:depth=3,width=4", "-D", "patchgan:layers=1,width=4", "--size", "32",
        "--steps", "2", "--device", "cpu", "-o", str(run),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (run / "report.html").exists()
    assert newest_checkpoint(run)[1] == []
