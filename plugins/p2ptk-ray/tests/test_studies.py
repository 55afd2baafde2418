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
from p2ptk_ray.launcher import Ray

pytestmark = [pytest.mark.timeout(600)]

STEPS = 300
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


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, study_text: str) -> list[Any]:
    """The metrics of a study of STEPS steps that nothing happened to, run by `local`."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "tiny.toml").write_text(study_text.format(seeds=1, steps=STEPS), "utf-8")
    ended = Study.from_file(folder / "tiny.toml", folder / "out").run(quiet=True)
    return [result.metrics for result in ended.results]


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
@pytest.mark.parametrize("whom", ["worker", "driver", "ctrl-c"])
def test_what_dies_goes_on_and_ends_the_same(
    whom: str,
    cluster: str,
    write_study: Any,
    uninterrupted: list[Any],
    start: Launch,
    tmp_path: Path,
) -> None:
    file, out = write_study(seeds=1, steps=STEPS), tmp_path / "out"
    launcher = f"ray:address='{cluster}',cpus=1,gpus=0.5"
    study = Study.from_file(file, out)
    first, second = study.plan.jobs
    process = start(file, launcher)
    wait_for(lambda: all((job.folder / "checkpoints").is_dir() for job in (first, second)), process)
    if whom == "worker":
        for worker in workers_of(out)[:1]:
            os.kill(worker, signal.SIGKILL)
    elif whom == "driver":
        process.kill()
        process.communicate()
        process = start(file, launcher)
    else:
        process.send_signal(signal.SIGINT)
        heard = process.communicate()
        assert process.returncode == 3, heard
        assert {r.status for r in study.results()} <= {"stopped", "done"}
        assert not workers_of(out)
        process = start(file, launcher)
    answer, said = process.communicate()
    assert process.returncode == 0, said
    runs = json.loads(answer)["runs"]
    assert [run["status"] for run in runs] == ["done", "done"]
    logs = "".join((out / "logs" / f"{job.key}.log").read_text() for job in (first, second))
    assert "resumed at step" in logs
    assert ("retry 1 of 3" in said) == (whom == "worker")
    assert [r.metrics for r in study.results()] == uninterrupted


@pytest.mark.slow
def test_a_cluster_that_is_started_and_ended(
    write_study: Any, start: Launch, tmp_path: Path
) -> None:
    process = start(write_study(seeds=1), "ray:gpus=0")
    answer, said = process.communicate()
    assert process.returncode == 0, said
    assert [run["status"] for run in json.loads(answer)["runs"]] == ["done", "done"]
    assert len(said.splitlines()) == 3, "Ray itself says nothing"


def test_a_run_of_a_study(cluster: str, write_study: Any, tmp_path: Path) -> None:
    study = Study.from_file(write_study(seeds=1, steps=1), tmp_path / "out")
    study.plan.write()
    [result] = Ray(cpus=1, gpus=0.5).launch(study.plan.jobs[:1])
    assert result.status == "done"
    assert result.metrics["psnr"] > 0
    assert [row["status"] for row in study.status()] == ["done", "missing"]


@pytest.mark.slow
def test_a_study_in_this_process(cluster: str, write_study: Any, tmp_path: Path) -> None:
    study = Study.from_file(write_study(seeds=1), tmp_path / "out")
    ended = study.run(launcher=Ray(cpus=1, gpus=0.5), quiet=True)
    assert [r.status for r in ended.results] == ["done", "done"]
    assert (tmp_path / "out" / "report.html").is_file()
    assert study.run(launcher=Ray(gpus=100), quiet=True).count("done") == 2, "nothing is to do"
