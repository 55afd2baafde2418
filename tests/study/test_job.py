"""Jobs as launchers call them: a process each, its log, and what becomes of every way to end."""

from __future__ import annotations

import json
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from p2ptk.errors import UserError
from p2ptk.study.job import (
    is_done,
    is_running,
    log_of,
    lost,
    read_result,
    scored_under,
    working,
    write_result,
)
from p2ptk.study.records import Cost, Job, Result

EVALUATE = {"metrics": ["l1"], "primary": "l1", "split": "test", "select": "last"}
WRITES = """
import json, os, pathlib, sys
folder = pathlib.Path(sys.argv[1]); folder.mkdir(parents=True, exist_ok=True)
table = {"key": folder.name, "variant": "a", "seed": 0, "status": "done", "reason": os.environ["X"]}
(folder / "result.json").write_text(json.dumps(table))
"""
MakeJob = Callable[..., Job]


@pytest.fixture
def job(tmp_path: Path) -> MakeJob:
    """job("print(1)", "argument") is a job whose process runs that Python."""

    def make(code: str, *arguments: str) -> Job:
        folder = tmp_path / "runs" / "0123456789ab"
        return Job(folder.name, "a", 0, folder, (sys.executable, "-c", code, *arguments))

    return make


def test_a_result_that_the_process_wrote(job: MakeJob, tmp_path: Path) -> None:
    made = job(WRITES + "print('so far so good')", str(tmp_path / "runs" / "0123456789ab"))
    result = pickle.loads(pickle.dumps(made))({"X": "from the launcher"})
    assert (result.status, result.reason) == ("done", "from the launcher")
    log = log_of(made).read_text()
    assert log.startswith("--- ")
    assert log.endswith("so far so good\n")


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        ("import sys; print('error: no such thing.'); sys.exit(2)", "crashed", "no such thing."),
        ("raise ValueError('odd')", "crashed", "ValueError: odd"),
        ("import sys; sys.exit(7)", "crashed", "it ended with exit code 7 and said nothing."),
        ("print('hello')", "crashed", "its command ended well, but left no result."),
        ("import sys; print('error: step 3: l1'); sys.exit(4)", "diverged", "step 3: l1"),
        (
            "import os; os.kill(os.getpid(), 9)",
            "crashed",
            "it was ended by SIGKILL; the system does so when memory runs out.",
        ),
    ],
)
def test_failures_are_kept_with_their_reason(
    job: MakeJob, code: str, status: str, reason: str
) -> None:
    made = job(code)
    result = made()
    assert (result.status, result.reason, result.attempts) == (status, reason, 1)
    assert read_result(made.folder) == result
    assert made().attempts == 2


def test_the_reason_is_of_the_last_attempt(job: MakeJob) -> None:
    job("import sys; print('error: first.'); sys.exit(1)")()
    assert job("import sys; sys.exit(1)")().reason == "it ended with exit code 1 and said nothing."


def test_memory_that_ran_out(job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    kills = iter([4, 5])
    monkeypatch.setattr("p2ptk.study.job._out_of_memory_kills", lambda: next(kills))
    result = job("import os; os.kill(os.getpid(), 9)")()
    assert (result.status, result.reason) == (
        "out of memory",
        "the system killed it, as memory had run out.",
    )


def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    made = Job("k", "a", 0, tmp_path / "runs" / "k", ("no-such-command-here",))
    result = made()
    assert result.status == "crashed"
    assert result.reason == "no-such-command-here: No such file or directory"


@pytest.mark.parametrize("code", [3, 130, 143])
def test_a_stopped_job_is_nobodys_result(job: MakeJob, code: int) -> None:
    made = job(f"import sys; sys.exit({code})")
    assert made().status == "stopped"
    assert read_result(made.folder) is None


def test_stop_from_another_thread(job: MakeJob) -> None:
    made = job("import time; print('on', flush=True); time.sleep(60)")
    found: list[Result] = []
    thread = threading.Thread(target=lambda: found.append(made()))
    thread.start()
    while not log_of(made).exists() or "on" not in log_of(made).read_text().split():
        time.sleep(0.01)
    made.stop()
    thread.join(20)
    assert [r.status for r in found] == ["stopped"]
    made.stop()  # where nothing runs it does nothing


def test_a_job_that_another_process_does(job: MakeJob) -> None:
    made = job("import sys; sys.exit(2)")
    assert not is_running(made.folder)
    with working(made.folder):
        assert is_running(made.folder)
        assert made().status == "running"
        with pytest.raises(UserError, match="another process does the job 0123456789ab"):
            working(made.folder).__enter__()
    assert read_result(made.folder) is None
    assert not is_running(made.folder)


def test_the_process_knows_who_waits(job: MakeJob) -> None:
    made = job("import os, sys; sys.exit(os.environ['P2PTK_STUDY_PROCESS'] + '.')")
    assert made().reason == f"{os.getpid()}."


def test_results_keep_what_they_were_scored_under(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "k"
    assert read_result(folder) is None
    assert scored_under(folder) == {}
    done = Result("k", "a", 0, "done", metrics={"l1": 0.5}, cost=Cost(parameters=3))
    write_result(folder, done, EVALUATE)
    assert read_result(folder) == done
    assert scored_under(folder) == EVALUATE
    assert is_done(folder, EVALUATE)
    assert is_done(folder, EVALUATE | {"primary": "psnr"}), "which value decides changes no value"
    assert not is_done(folder, EVALUATE | {"metrics": ["l1", "psnr"]})
    assert not is_done(folder, EVALUATE | {"split": "val"})
    job = Job("k", "a", 0, folder, ("true",))
    assert lost(job, "crashed", "gone.").cost == done.cost
    assert not is_done(folder, EVALUATE)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", json.dumps({"key": "k"})])
def test_a_broken_result_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "result.json").write_text(text)
    assert read_result(tmp_path) is None
    assert scored_under(tmp_path) == {}
