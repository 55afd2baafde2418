"""Disks that fill up, folders that go, files that a power cut left short."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from p2ptk.checkpoint import newest_checkpoint
from p2ptk.errors import P2ptkError, UserError
from p2ptk.files import lock_folder
from p2ptk.observe import Observer
from p2ptk.run import resume
from p2ptk.runfolder import RunFolder

Tiny = Callable[..., Any]
OFTEN = {"output": {"checkpoint_every": 2}}


class Listener(Observer):
    """Keeps what is said, and does something after a step."""

    def __init__(self, at: int = 0, act: Callable[[], object] = lambda: None) -> None:
        self.said: list[str] = []
        self.at, self.act = at, act

    def note(self, text: str) -> None:
        self.said.append(text)

    def stepped(self, step: int) -> None:
        if step == self.at:
            self.act()


def tensors(run: Path) -> dict[str, Tensor]:
    checkpoint, _ = newest_checkpoint(run)
    assert checkpoint is not None
    return {f"{n}/{k}": v for n in checkpoint.names for k, v in checkpoint.load(n).items()}


def assert_same(a: Path, b: Path) -> None:
    ours, theirs = tensors(a), tensors(b)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[k], theirs[k]) for k in ours)


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE")
def test_files_can_grow_no_more_and_the_last_checkpoint_stays(tiny: Tiny, tmp_path: Path) -> None:
    import resource

    tiny("whole", OFTEN)
    tiny("full", OFTEN, stop_at=2)
    run, before = RunFolder(tmp_path / "full"), resource.getrlimit(resource.RLIMIT_FSIZE)
    limit = Listener(3, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1])))
    try:
        with pytest.raises(P2ptkError, match=r"checkpoints.*could not be written"):
            resume(run, limit)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    checkpoint, notes = newest_checkpoint(run.path)
    assert checkpoint is not None
    assert (checkpoint.step, notes) == (2, [])
    assert not list(run.path.rglob(".p2ptk-*"))
    resume(run, Observer())
    assert_same(run.path, tmp_path / "whole")


def test_the_run_folder_goes_while_it_trains(tiny: Tiny, tmp_path: Path) -> None:
    tiny("gone", OFTEN, stop_at=2)
    run = RunFolder(tmp_path / "gone")
    with pytest.raises(P2ptkError, match=r"can't be written: .* is no folder"):
        resume(run, Listener(3, lambda: shutil.rmtree(run.path)))
    assert not run.path.exists()


@pytest.mark.parametrize("length", [0, 100])
@pytest.mark.parametrize("name", ["generator.safetensors", "optimizers.safetensors", "state.json"])
def test_a_power_cut_left_the_newest_files_short(
    tiny: Tiny, tmp_path: Path, name: str, length: int
) -> None:
    tiny("whole", OFTEN)
    tiny("cut", OFTEN, stop_at=4)
    run = tmp_path / "cut"
    for path in (run / "checkpoints" / "000004" / name, run / "generator.safetensors",
                 run / "curves.png", run / "samples" / "000004.png"):  # fmt: skip
        if path.exists():
            path.write_bytes(path.read_bytes()[:length])
    listener = Listener()
    assert resume(RunFolder(run), listener).finished
    skipped = [line for line in listener.said if "is damaged and skipped" in line]
    assert len(skipped) == 1
    assert "resumed at step 2 of 6" in listener.said
    assert_same(run, tmp_path / "whole")


def test_a_changed_state_is_noticed(tiny: Tiny, tmp_path: Path) -> None:
    tiny("run", OFTEN, stop_at=4)
    state = tmp_path / "run" / "checkpoints" / "000004" / "state.json"
    text = state.read_text().replace('"step": 4, "total"', '"step": 5, "total"')
    assert text != state.read_text()
    state.write_text(text)
    checkpoint, notes = newest_checkpoint(tmp_path / "run")
    assert checkpoint is not None
    assert checkpoint.step == 2
    assert "state.json can't be read" in notes[0]


def test_an_empty_run_toml_is_no_other_run(tiny: Tiny, tmp_path: Path) -> None:
    tiny("run", stop_at=2)
    (tmp_path / "run" / "run.toml").write_bytes(b"")
    with pytest.raises(UserError, match=r"run\.toml is damaged"):
        resume(RunFolder(tmp_path / "run"), Observer())


def test_a_second_process_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    tiny("run", stop_at=2)
    run = tmp_path / "run"
    with lock_folder(run), pytest.raises(UserError, match="another process is writing to"):
        resume(RunFolder(run), Observer())
    assert resume(RunFolder(run), Observer()).finished
