"""One job of a study: trained once, scored as asked, and honest about how it ended."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
import torch
from click.testing import CliRunner
from PIL import Image

import p2ptk
from p2ptk.build import resolve_config
from p2ptk.cli.study_job import job_command
from p2ptk.config import RunConfig
from p2ptk.errors import Diverged, P2ptkError, Unavailable, UserError
from p2ptk.layers import layers_of
from p2ptk.observe import Observer
from p2ptk.run import start
from p2ptk.runfolder import RunFolder
from p2ptk.study.job import log_of, read_result, scored_under, working
from p2ptk.study.records import Cost, Job
from p2ptk.study.worker import JobFile, verdict, work
from tests.conftest import TINY

EVALUATE = {"metrics": ["l1", "psnr"], "primary": "l1", "split": "test", "select": "last"}
MakeFile = Callable[..., Path]


class Notes(Observer):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Side-by-side pairs: 6 train, 2 val, 3 test; B is A inverted."""
    folder = tmp_path_factory.mktemp("pairs")
    numbers = np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 2), ("test", 3)):
        (folder / split).mkdir()
        for i in range(count):
            a = np.kron(numbers.integers(0, 255, (4, 4, 3)), np.ones((8, 8, 1))).astype("uint8")
            Image.fromarray(np.hstack([a, 255 - a])).save(folder / split / f"{i:02d}.png")
    return folder


@pytest.fixture
def file(data: Path, tmp_path: Path) -> MakeFile:
    """file({"train": {"steps": 3}}, evaluate=..., images=...): the file of a job of a study."""

    def make(*layers: dict[str, Any], evaluate: Any = None, **more: Any) -> Path:
        given = {"data": {"name": "side-by-side", "path": str(data)}, "output": {"log_every": 1}}
        config = resolve_config(RunConfig.of(*layers_of({}), TINY, given, *layers))
        path = tmp_path / "jobs" / "0123456789ab.toml"
        path.parent.mkdir(exist_ok=True)
        table = {
            "format": 1,
            "variant": "patchgan",
            "seed": 3,
            "config": config.table(),
            "evaluate": evaluate or EVALUATE,
            "retries": 0,
            **more,
        }
        path.write_text(tomli_w.dumps(table), "utf-8")
        return path

    return make


def folder_of(path: Path) -> Path:
    return path.parents[1] / "runs" / path.stem


def test_it_trains_and_scores(file: MakeFile) -> None:
    path = file()
    assert work(path, Notes()) is None
    folder = folder_of(path)
    result = read_result(folder)
    assert result is not None
    assert (result.status, result.reason, result.attempts) == ("done", "", 1)
    assert (result.key, result.variant, result.seed) == ("0123456789ab", "patchgan", 3)
    assert result.folder == "runs/0123456789ab"
    assert result.metrics.keys() == result.validation.keys() == result.higher_is_better.keys()
    assert result.metrics != result.validation
    (l1,) = (name for name in result.metrics if name.startswith("l1"))
    assert result.higher_is_better[l1] is False
    assert list(result.per_image[l1]) == ["00", "01", "02"]
    assert sum(result.per_image[l1].values()) / 3 == pytest.approx(result.metrics[l1])
    assert all(result.protocols.values())

    told = json.loads((folder / "evaluation-test.json").read_text())
    assert told["metrics"] == result.metrics
    assert (folder / "per_image-test.csv").read_text().startswith("name,")
    assert (folder / "evaluation-val.json").is_file()
    assert scored_under(folder) == EVALUATE

    cost = result.cost
    generator = p2ptk.load_generator(folder)
    assert cost.parameters == sum(p.numel() for p in generator.parameters())
    assert cost.macs is not None
    assert cost.macs > 0
    assert cost.images_per_s is not None
    assert cost.peak_memory is not None
    assert cost.peak_memory > 2**26
    assert cost.seconds is not None
    assert cost.hardware.startswith("cpu")


def test_done_is_done_and_other_metrics_only_score(file: MakeFile) -> None:
    path = file()
    work(path, Notes())
    folder = folder_of(path)
    weights, first = folder / "generator.safetensors", read_result(folder)
    trained = weights.stat().st_mtime_ns
    before = (folder / "result.json").stat().st_mtime_ns
    notes = Notes()
    work(path, notes)
    assert notes.lines == ["patchgan, seed 3: done already"]
    assert (folder / "result.json").stat().st_mtime_ns == before

    file(evaluate=EVALUATE | {"metrics": ["ssim", "l1"], "split": "val"})
    work(path, Notes())
    second = read_result(folder)
    assert first is not None
    assert second is not None
    assert weights.stat().st_mtime_ns == trained
    assert any(name.startswith("ssim") for name in second.metrics)
    assert second.metrics == second.validation
    assert second.cost == first.cost
    assert second.attempts == 1


def test_a_run_that_was_stopped_goes_on(file: MakeFile) -> None:
    path = file()
    whole = file()
    start(JobFile.read(path).config, RunFolder(folder_of(path)), Observer(), stop_at=4)
    notes = Notes()
    work(whole, notes)
    assert "resumed at step 4 of 6" in notes.lines
    kept = [place.name for place in (folder_of(path) / "checkpoints").iterdir()]
    assert kept == ["000006"], "of a run that is done the last one alone"
    steps = [row["step"] for row in RunFolder(folder_of(path)).read_log()]
    assert steps == [1, 2, 3, 4, 5, 6]


def test_the_best_weights(file: MakeFile) -> None:
    best = EVALUATE | {"select": "best"}
    path = file({"output": {"evaluate_every": 2}}, {"metrics": ["l1"]}, evaluate=best)
    work(path, Notes())
    told = json.loads((folder_of(path) / "evaluation-test.json").read_text())
    assert told["model"].endswith("best.safetensors")
    path = file(evaluate=best)
    (folder_of(path) / "best.safetensors").unlink()
    (folder_of(path) / "result.json").unlink()
    with pytest.raises(UserError, match=r"keeps no best\.safetensors"):
        work(path, Notes())
    result = read_result(folder_of(path))
    assert result is not None
    assert result.status == "crashed"


def test_a_run_that_diverges(file: MakeFile) -> None:
    path = file({"train": {"lr": 1e38}})
    for attempt in (1, 2):
        with pytest.raises(Diverged):
            work(path, Notes())
        result = read_result(folder_of(path))
        assert result is not None
        assert (result.status, result.attempts) == ("diverged", attempt)
        assert result.reason.startswith("step ")
        assert result.metrics == {}


def test_a_run_that_does_not_fit(file: MakeFile, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: Any) -> None:
        try:
            torch.empty(2**55)
        except RuntimeError as error:
            raise UserError("a batch of 2 does not fit: lower --batch-size.") from error

    monkeypatch.setattr("p2ptk.study.worker.start", full)
    path = file()
    with pytest.raises(UserError):
        work(path, Notes())
    result = read_result(folder_of(path))
    assert result is not None
    assert result.status == "out of memory"
    assert result.reason == "a batch of 2 does not fit: lower --batch-size."


def test_verdicts() -> None:
    assert verdict(torch.OutOfMemoryError("CUDA out of memory")) == (
        "out of memory",
        "OutOfMemoryError: CUDA out of memory",
    )
    assert verdict(MemoryError())[1] == "MemoryError"
    assert verdict(UserError("no such loss.")) == ("crashed", "no such loss.")
    assert verdict(ValueError("odd\nand long")) == ("crashed", "ValueError: odd")


def test_pictures_that_another_program_made(file: MakeFile, data: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs-3"
    theirs.mkdir()
    for path in (data / "test").iterdir():
        Image.open(path).crop((32, 0, 64, 32)).save(theirs / path.name)
    path = file(images=str(tmp_path / "theirs-{seed}"))
    work(path, Notes())
    result = read_result(folder_of(path))
    assert result is not None
    assert (result.status, result.folder, result.cost) == ("done", "", Cost())
    assert [v for k, v in result.metrics.items() if k.startswith("l1")] == [0.0]
    assert result.validation == {}
    assert not RunFolder(folder_of(path)).holds_run
    (theirs / "00.png").unlink()
    file(images=str(theirs), evaluate=EVALUATE | {"metrics": ["l1"]})
    with pytest.raises(UserError, match="pairs without a picture: 00"):
        work(path, Notes())


class Never:
    """A metric whose weights nobody has."""

    def __init__(self) -> None:
        raise Unavailable("its weights can't be had.")


def test_metrics_that_cannot_be_had(file: MakeFile) -> None:
    p2ptk.register("metric", "never-had", Never)
    path = file(evaluate=EVALUATE | {"metrics": ["l1", "never-had"]})
    work(path, Notes())
    result = read_result(folder_of(path))
    assert result is not None
    assert result.status == "done"
    assert result.reason == "never-had was left out: its weights can't be had."
    file(evaluate=EVALUATE | {"metrics": ["l1", "never-had"], "split": "val", "primary": "never"})
    with pytest.raises(P2ptkError, match="the primary metric 'never' did not come out"):
        work(path, Notes())


def test_files_that_are_no_jobs(file: MakeFile, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no config file"):
        work(tmp_path / "jobs" / "none.toml", Notes())
    path = file()
    path.write_text('variant = "a"\nseed = 1\n')
    with pytest.raises(UserError, match="it has no 'config'"):
        work(path, Notes())
    path.write_text("format = 9\n")
    with pytest.raises(UserError, match="newer p2ptk"):
        work(path, Notes())


def test_two_processes_do_not_do_one_job(file: MakeFile) -> None:
    path = file()
    with working(folder_of(path)), pytest.raises(UserError, match="another process does the job"):
        work(path, Notes())
    assert not folder_of(path).exists()


def test_the_command(file: MakeFile) -> None:
    path = file({"train": {"steps": 2}})
    done = CliRunner().invoke(job_command, [str(path)], standalone_mode=False)
    assert done.exception is None
    assert done.return_value == 0
    assert job_command.hidden


@pytest.mark.slow
def test_a_job_is_stopped_and_goes_on(file: MakeFile) -> None:
    """In a process of its own: SIGTERM keeps a checkpoint, the next call goes on from it."""
    path = file({"train": {"steps": 100_000}})
    folder = folder_of(path)
    code = "import sys; from p2ptk.cli.study_job import job_command as j; " + (
        "sys.exit(j.main([sys.argv[1]], standalone_mode=False))"
    )
    job = Job(path.stem, "patchgan", 3, folder, (sys.executable, "-c", code, str(path)))
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(job()))
    thread.start()
    while thread.is_alive() and len(RunFolder(folder).read_log()) < 3:
        time.sleep(0.05)
    job.stop()
    thread.join(60)
    assert found[0].status == "stopped", log_of(job).read_text()
    assert "p2ptk resume" in log_of(job).read_text()
    assert read_result(folder) is None
    assert list((folder / "checkpoints").iterdir())


WATCHED = """
import os, signal, sys, time
from p2ptk.study import worker
worker.WATCH = 0.1
worker.stop_with_parent()
print("watching", flush=True)
if sys.argv[1] == "signal":
    os.kill(os.getpid(), signal.SIGUSR2)
time.sleep(60)
"""
PARENT = """
import os, subprocess, sys
watched = [sys.executable, "-c", sys.argv[1], "wait"]
environment = {**os.environ, "P2PTK_STUDY_PROCESS": str(os.getpid())}
child = subprocess.Popen(watched, env=environment, stdout=subprocess.PIPE, text=True)
assert child.stdout.readline() == "watching\\n"
print(child.pid)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_job_does_not_outlive_who_waits_for_it() -> None:
    run = [sys.executable, "-c", PARENT, WATCHED]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    child, deadline = int(done.stdout), time.monotonic() + 10
    while Path(f"/proc/{child}/cmdline").exists() and time.monotonic() < deadline:
        if not Path(f"/proc/{child}/cmdline").read_bytes():  # a zombie that nobody waits for
            break
        time.sleep(0.05)
    assert time.monotonic() < deadline


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_queues_warning_is_taken_as_sigterm() -> None:
    run = [sys.executable, "-c", WATCHED, "signal"]
    assert subprocess.run(run, capture_output=True, check=False).returncode == -15
