"""Jobs by submitit, on its own local executors: results, failures, and what it says of Slurm."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from p2ptk import Unavailable, create
from p2ptk.launchers.submitit import Requeued, Submitit
from p2ptk.study.job import read_result
from p2ptk.study.records import Job

pytest.importorskip("submitit")
WRITES = """
import json, pathlib, sys
folder = pathlib.Path(sys.argv[1]); folder.mkdir(parents=True, exist_ok=True)
table = {"key": folder.name, "variant": "a", "seed": int(sys.argv[2]), "status": "done"}
(folder / "result.json").write_text(json.dumps(table))
"""


def jobs(study: Path) -> list[Job]:
    made = []
    for n, code in enumerate((WRITES, WRITES, "import sys; sys.exit('error: no luck.')")):
        folder = study / "runs" / f"k{n}"
        command = (sys.executable, "-c", code, str(folder), str(n))
        made.append(Job(folder.name, "a", n, folder, command))
    return made


@pytest.mark.parametrize("cluster", ["debug", pytest.param("local", marks=pytest.mark.slow)])
def test_results_of_all_jobs(cluster: str, tmp_path: Path) -> None:
    launcher = create("launcher", f"submitit:cluster={cluster},gpus=0,minutes=2")
    found = {r.seed: r for r in launcher.launch(jobs(tmp_path))}
    assert [found[n].status for n in range(3)] == ["done", "done", "crashed"]
    assert found[2].reason == "no luck."


def test_without_slurm_one_sentence() -> None:
    with pytest.raises(Unavailable, match=r"finds no Slurm here \(no command srun\)"):
        create("launcher", "submitit:partition=gpu")


def test_without_submitit_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p2ptk.launchers.submitit.find_spec", lambda name: None)
    with pytest.raises(
        Unavailable, match=r'needs the package submitit: pip install "p2ptk\[slurm\]"'
    ):
        create("launcher", "submitit:cluster=debug")


class Handle:
    """A job of a queue that gave no result."""

    def __init__(self, state: str) -> None:
        self.state = state

    def result(self) -> Any:
        raise RuntimeError(f"has not produced any output (state: {self.state})\nand more")


@pytest.mark.parametrize(
    ("state", "status", "kept"),
    [
        ("OUT_OF_MEMORY", "out of memory", True),
        ("FAILED", "crashed", True),
        ("TIMEOUT", "stopped", False),
        ("CANCELLED by 1000", "stopped", False),
    ],
)
def test_jobs_that_the_queue_lost(state: str, status: str, kept: bool, tmp_path: Path) -> None:
    job = jobs(tmp_path)[0]
    result = Submitit(cluster="debug")._result(job, Handle(state))
    assert result.status == status
    assert result.reason.startswith(f"the queue says {state.lower()}: has not produced any output")
    assert "\n" not in result.reason
    assert (read_result(job.folder) is not None) == kept


def test_a_job_whose_time_is_up_is_sent_again(tmp_path: Path) -> None:
    requeued = Requeued(jobs(tmp_path)[0])
    again = requeued.checkpoint()
    assert again.function is requeued
    assert again.result().status == "done"
