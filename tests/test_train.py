"""Whole runs: what they write, how they stop, and that they go on exactly."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from p2ptk.checkpoint import newest_checkpoint
from p2ptk.errors import Diverged, UserError
from p2ptk.from_python import fit
from p2ptk.observe import Observer
from p2ptk.run import resume
from p2ptk.runfolder import RunFolder
from p2ptk.weights import load_generator, load_tensors, read_header

Tiny = Callable[..., Any]


def everything(run: Path) -> dict[str, Tensor]:
    """All tensors of a run's newest checkpoint."""
    checkpoint, notes = newest_checkpoint(run)
    assert checkpoint is not None
    assert notes == []
    return {f"{n}/{k}": v for n in checkpoint.names for k, v in checkpoint.load(n).items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def losses(run: Path) -> list[tuple[int, float]]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [(row["step"], row["g_loss"]) for row in rows]


def test_what_a_run_writes(tiny: Tiny, tmp_path: Path) -> None:
    outcome = tiny("run", {"train": {"ema": 0.9}})
    run = tmp_path / "run"
    assert (outcome.finished, outcome.step) == (True, 6)
    assert [step for step, _ in losses(run)] == [1, 2, 3, 4, 5, 6]
    for name in ("000000.png", "000006.png"):
        assert Image.open(run / "samples" / name).width > 3 * 32
    config = tomllib.loads((run / "run.toml").read_text())
    assert config["generator"]["upsample"] == "transpose"  # every default is written out
    assert config["providers"]["generator/unet"].startswith("p2ptk ")
    assert config["record"]["val"] == ["00", "01", "02"]
    assert json.loads((run / "environment.json").read_text())["packages"]["torch"]
    header = read_header(run)
    assert (header.step, header.direction, header.size) == (6, "AtoB", (32, 32))
    assert same(load_tensors(run / "generator.safetensors"),
                {k.removeprefix("ema/"): v for k, v in everything(run).items()
                 if k.startswith("ema/")})  # fmt: skip
    assert load_generator(run)(torch.zeros(1, 3, 32, 32)).shape == (1, 3, 32, 32)
    assert not list(run.rglob("*.tmp"))


def test_run_toml_repeats_the_run(tiny: Tiny, tmp_path: Path) -> None:
    tiny("a")
    fit(tmp_path / "a" / "run.toml", output=tmp_path / "b", quiet=True)
    assert same(everything(tmp_path / "a"), everything(tmp_path / "b"))


@pytest.mark.parametrize(
    "layer",
    [
        {},
        {"train": {"ema": 0.9, "accumulate": 2, "optimizer": "adamw"}},
        {"precision": "bf16", "train": {"schedule": "cosine", "judge": "before"}},
        {"train": {"d_steps": 2, "d_start": 2, "optimizer": "rmsprop"}},
    ],
)
def test_stopped_and_resumed_is_as_if_never_stopped(
    tiny: Tiny, tmp_path: Path, layer: dict[str, Any]
) -> None:
    tiny("straight", layer)
    outcome = tiny("halves", layer, stop_at=3)
    assert (outcome.finished, outcome.step) == (False, 3)
    outcome = resume(RunFolder(tmp_path / "halves"), Observer())
    assert outcome.finished
    assert same(everything(tmp_path / "straight"), everything(tmp_path / "halves"))
    assert losses(tmp_path / "straight") == losses(tmp_path / "halves")


def test_a_damaged_newest_checkpoint_is_passed_over(tiny: Tiny, tmp_path: Path) -> None:
    tiny("straight")
    tiny("hurt", {"output": {"checkpoint_every": 2}}, stop_at=5)
    newest = tmp_path / "hurt" / "checkpoints" / "000005" / "generator.safetensors"
    newest.write_bytes(newest.read_bytes()[:-7])
    said: list[str] = []
    observer = Observer()
    observer.note = said.append  # type: ignore[method-assign]
    resume(RunFolder(tmp_path / "hurt"), observer)
    assert any("damaged" in line for line in said)
    assert "resumed at step 4 of 6" in said
    assert same(everything(tmp_path / "straight"), everything(tmp_path / "hurt"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_killed_at_any_moment_it_still_ends_the_same(
    tiny: Tiny, tmp_path: Path, pairs: Path
) -> None:
    layer = {"train": {"steps": 40}, "output": {"checkpoint_every": 3, "sample_every": 5}}
    tiny("straight", layer)
    (tmp_path / "straight" / "run.toml").rename(tmp_path / "again.toml")
    run = tmp_path / "killed"
    command = [sys.executable, "-m", "p2ptk", "run", "--config", str(tmp_path / "again.toml"),
               "-o", str(run), "--resume-if-exists"]  # fmt: skip
    kills = 0
    for attempt in range(3):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not (run / "run.toml").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3 + 0.8 * attempt)
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
    if process.poll() is None or process.returncode != 0:
        subprocess.run(command, check=True, capture_output=True)
    assert kills > 0
    assert same(everything(tmp_path / "straight"), everything(run))
    assert losses(run) == losses(tmp_path / "straight")


def test_resume_notices_other_pairs(tiny: Tiny, tmp_path: Path, pairs: Path) -> None:
    other = tmp_path / "pairs"
    shutil.copytree(pairs, other)
    tiny("run", {"data": {"path": str(other)}}, stop_at=3)
    (other / "train" / "00.png").rename(other / "train" / "77.png")
    with pytest.raises(UserError, match="not those that"):
        resume(RunFolder(tmp_path / "run"), Observer())


def test_a_longer_run_goes_on_and_says_so(tiny: Tiny, tmp_path: Path) -> None:
    tiny("run")
    outcome = resume(RunFolder(tmp_path / "run"), Observer(), steps=8)
    assert (outcome.step, outcome.total) == (8, 8)
    assert tomllib.loads((tmp_path / "run" / "run.toml").read_text())["train"]["steps"] == 8
    with pytest.raises(UserError, match="past the new length"):
        resume(RunFolder(tmp_path / "run"), Observer(), steps=2)


def test_a_folder_with_a_run_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    tiny("run", stop_at=1)
    before = {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()}
    with pytest.raises(UserError, match="already holds a run"):
        tiny("run")
    assert {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()} == before


def test_bad_input_leaves_no_folder_behind(tiny: Tiny, tmp_path: Path) -> None:
    for layer, words in (
        ({"size": 30}, "multiples of 8"),
        ({"generator": "unett"}, "did you mean"),
        ({"data": {"path": str(tmp_path / "none")}}, "none"),
        ({"discriminator": "none"}, "needs a discriminator"),
        ({"losses": []}, "no loss"),
        ({"losses": ["gan:mode=rpgan"], "train": {"pool": 5}}, "train.pool=0"),
        ({"init": str(tmp_path / "none.safetensors")}, "none.safetensors"),
        ({"losses": {"l1": {"weight": "heavy"}}}, "weight should be a number"),
    ):
        with pytest.raises(UserError, match=words):
            tiny("bad", layer)
    assert not (tmp_path / "bad").exists()


def test_a_batch_too_large_says_what_to_lower_and_leaves_nothing(
    tiny: Tiny, tmp_path: Path
) -> None:
    class Greedy:
        def generator(self, t: Any) -> Tensor:
            return torch.empty(2**50)

    with pytest.raises(UserError, match=r"a batch of 2 at 32x32 does not fit.*--batch-size"):
        tiny("big", losses={"greedy": Greedy()})
    assert not (tmp_path / "big").exists()


def test_a_loss_that_becomes_nan_stops_the_run_and_keeps_the_last_weights(
    tiny: Tiny, tmp_path: Path
) -> None:
    class Explodes:
        def generator(self, t: Any) -> Tensor:
            return t.fake.mean() * (float("nan") if t.step == 4 else 1.0)

    with pytest.raises(Diverged, match=r"step 4: g_explodes is not finite \(pairs: .*checkpoints"):
        tiny("run", {"output": {"checkpoint_every": 3}}, losses={"explodes": Explodes()})
    checkpoint, _ = newest_checkpoint(tmp_path / "run")
    assert checkpoint is not None
    assert checkpoint.step == 3
    assert all(torch.isfinite(t).all() for t in checkpoint.load("generator").values())


def test_skipping_such_a_step(tiny: Tiny, tmp_path: Path) -> None:
    class Explodes:
        def generator(self, t: Any) -> Tensor:
            return t.fake.mean() * (float("nan") if t.step == 2 else 1.0)

    outcome = tiny("run", {"train": {"on_nan": "skip"}}, losses={"explodes": Explodes()})
    assert outcome.finished
    assert all(torch.isfinite(t).all() for t in everything(tmp_path / "run").values())


def test_init_takes_what_fits_and_starts_anew(tiny: Tiny, tmp_path: Path) -> None:
    tiny("parent")
    tiny("child", {"init": str(tmp_path / "parent")}, stop_at=1)
    header = read_header(tmp_path / "child")
    assert header.parent
    assert "sha256:" in header.parent
    tiny("wider", {"init": str(tmp_path / "parent"), "generator": {"depth": 2}}, stop_at=1)
    with pytest.raises(UserError, match="fits"):
        tiny("other", {"init": str(tmp_path / "parent"), "generator": "resnet:blocks=1,width=3"})


def test_objects_of_ones_own(tiny: Tiny, tmp_path: Path, pairs: Path) -> None:
    class Mine(torch.nn.Module):
        size_multiple = 1

        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 3, 1)

        def forward(self, source: Tensor) -> Tensor:
            return torch.tanh(self.conv(source))

    net = Mine()
    outcome = fit(
        output=tmp_path / "mine",
        dataset=f"side-by-side:path={pairs}",
        generator=net,
        discriminator="none",
        losses=["l1:weight=10"],
        size=32,
        train__steps=30,
        train__lr=0.02,
        train__batch_size=2,
        precision="fp32",
        quiet=True,
    )
    assert outcome.finished
    curve = losses(tmp_path / "mine")
    assert curve[-1][1] < 0.7 * curve[0][1]


def test_the_time_limit_stops_a_run_that_can_be_resumed(tiny: Tiny, tmp_path: Path) -> None:
    outcome = tiny("run", max_seconds=0.0)
    assert not outcome.finished
    assert "--max-time" in outcome.reason
    assert resume(RunFolder(tmp_path / "run"), Observer()).finished
