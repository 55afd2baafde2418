"""Real studies, as a user runs them: on a cluster by its address, and on one that is started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from p2ptk import Study

pytestmark = [pytest.mark.timeout(600)]

STEPS = 200
Launch = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Launch:
    """start(file, "ray:...") -> the process of `p2ptk study run`; its study lies in out/."""
    environment = {**os.environ, "P2PTK_PLUGINS": "p2ptk-ray", "OMP_NUM_THREADS": "1"}

    def begin(file: Path, launcher: str) -> subprocess.Popen[str]:
        words = ["study", "run", file, "-o", tmp_path / "out", "--json", "--launcher", launcher]
        return subprocess.Popen(
            [sys.executable, "-m", "p2ptk", *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
        )

    return begin


def wait_for(condition: Callable[[], Any], process: subprocess.Popen[str] | None = None) -> None:
    until = time.monotonic() + 120
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)


def workers_of(study: Path) -> list[int]:
    """The processes that wait for the jobs of a study."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            command = (place / "cmdline").read_bytes().decode().split("\0")
            if "job" in command and str(study) in " ".join(command):
                found.append(int((place / "stat").read_text().rpartition(")")[2].split()[1]))
        except OSError:
            continue
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")
def test_a_study_whose_worker_and_driver_are_killed_goes_on_and_ends(
    cluster: str, write_study: Any, start: Launch, tmp_path: Path
) -> None:
    """It ends on a cluster of its own, which is started for it and ended with it."""
    file, out = write_study(seeds=1, steps=STEPS), tmp_path / "out"
    study = Study.from_file(file, out)
    jobs = study.plan.jobs

    def resumed() -> int:
        logs = [out / "logs" / f"{job.key}.log" for job in jobs]
        return sum(log.read_text().count("resumed at step") for log in logs)

    process = start(file, f"ray:address='{cluster}',cpus=1,gpus=0.5")
    wait_for(lambda: all((job.folder / "checkpoints").is_dir() for job in jobs), process)
    os.kill(workers_of(out)[0], signal.SIGKILL)
    wait_for(resumed, process)
    process.kill()
    _, said = process.communicate()
    assert "retry 1 of 3" in said
    assert [row["status"] for row in study.status()] != ["done", "done"]

    process = start(file, "ray:gpus=0")
    answer, said = process.communicate()
    assert process.returncode == 0, said
    runs = json.loads(answer)["runs"]  # so Ray itself says nothing there
    assert [run["status"] for run in runs] == ["done", "done"]
    assert all(result.metrics["psnr"] > 0 for result in study.results())
    assert resumed() >= 2
    assert not workers_of(out)
