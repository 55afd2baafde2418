"""The real commands: torchrun and --gpus, stopped, resumed by another number, killed, restarted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file

from p2ptk.cli import main
from p2ptk.plugins import configure

P2PTK = [sys.executable, "-m", "p2ptk"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
RUN = [
    *("run", "-d", "demo", "--size", "32", "--batch-size", "4", "--no-cache"),
    *("-G", "unet:depth=5,width=4,dropout=0,norm=none"),
    *("-D", "patchgan:width=4,layers=1,norm=none"),
    *("--precision", "fp32", "--device", "cpu", "--set", "workers=0"),
    *("--set", "output.log_every=1", "--set", "output.samples=1"),
]
DYING = ["--plugin", str(Path(__file__).with_name("dying.py")), "-L", "dying", "-L", "gan"]


@pytest.fixture(autouse=True)
def no_plugins_stay() -> Iterator[None]:
    yield
    configure(enabled=True, files=[])


def command(*arguments: str | Path, within: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(a) for a in arguments],
        cwd=within,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )


def alone(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


def steps(folder: Path) -> list[int]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["step"] for line in lines]


def test_a_killed_process_ends_the_run_which_any_number_goes_on_with(tmp_path: Path) -> None:
    run = [*RUN, *DYING, "--steps", "6", "--checkpoint-every", "2"]
    killed = command(*P2PTK, *run, "--gpus", "2", "-o", "run", within=tmp_path)
    assert killed.returncode == 1, killed.stderr
    assert "2 processes, each cpu" in killed.stderr
    assert "process 1 of 2 was killed (SIGKILL)" in killed.stderr
    assert "p2ptk resume run" in killed.stderr
    assert "Traceback" not in killed.stderr

    resume = [*P2PTK, "resume", "run", *DYING[:2], "--gpus", "4", "--stop-at", "4"]
    gone_on = command(*resume, within=tmp_path)
    assert gone_on.returncode == 3, gone_on.stderr
    assert "resumed at step 2 of 6" in gone_on.stderr
    assert gone_on.stderr.count("stopped at step 4 (--stop-at 4)") == 1
    assert alone("resume", str(tmp_path / "run"), *DYING[:2]) == 0
    assert alone(*run, "-o", str(tmp_path / "one")) == 0

    assert steps(tmp_path / "run") == steps(tmp_path / "one") == [1, 2, 3, 4, 5, 6]
    mine, theirs = (load_file(tmp_path / f / "generator.safetensors") for f in ("one", "run"))
    assert max(float((mine[k] - theirs[k]).abs().max()) for k in mine) < 1e-5


def test_torchrun_restarts_a_run(tmp_path: Path) -> None:
    torchrun = [*TORCHRUN, "--nproc-per-node", "2", "--max-restarts", "1", "-m", "p2ptk"]
    run = [*RUN, *DYING, "--steps", "5", "--checkpoint-every", "2"]
    done = command(*torchrun, *run, "-o", "run", within=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "resumed at step 2 of 5" in done.stderr
    assert steps(tmp_path / "run") == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--gpus", "3"], "a batch of 4 can't be shared equally by 3 processes"),
        (["--gpus", "3", "--batch-size", "8"], "--batch-size 9 would do"),
        (["--gpus", "4", "--set", "train.accumulate=2"], "in 2 parts"),
        (["--gpus", "2", "--set", "train.pool=5"], "train.pool keeps the translations of one"),
        (["--gpus", "2", "--device", "auto"], "torch sees no GPU here"),
        (["--gpus", "0"], "0 is not in the range"),
    ],
)
def test_numbers_of_processes_that_do_not_suit_are_refused(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    more: list[str],
    sentence: str,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert alone(*RUN, "--steps", "2", "-o", str(tmp_path / "run"), *more) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_one_process_is_no_ceremony(tmp_path: Path) -> None:
    assert alone(*RUN, "--steps", "1", "--gpus", "1", "-o", str(tmp_path / "run")) == 0
    assert steps(tmp_path / "run") == [1]


def test_restarts_need_the_name_of_the_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", "2")
    assert alone(*RUN, "--steps", "1") == 2
    assert "--max-restarts needs the run folder" in capsys.readouterr().err
