"""Workers and drivers that die while jobs run."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from p2ptk_ray.launcher import Ray

Seen = Callable[[], list[dict[str, Any]]]

# Ends as p2ptk's own job does when its worker is gone; the second attempt is done.
UNTIL_ALONE = """
if at > 1:
    done(); sys.exit()
parent = os.getppid()
while os.getppid() == parent:
    time.sleep(0.05)
"""

PROCESSES = pytest.mark.skipif(
    not Path("/proc/self").exists(), reason="looks for processes in /proc"
)


def wait_for(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def test_a_killed_worker_costs_a_retry(
    cluster: str, make_jobs: Any, seen: Seen, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = make_jobs(3, "if seed != 0 or label != 'baseline': done(); sys.exit()\n" + UNTIL_ALONE)
    results = Ray(cpus=0.1, gpus=1).launch(jobs)
    assert next(results).status == "done"
    wait_for(lambda: any("ended" not in each for each in seen()))
    [running] = [each for each in seen() if "ended" not in each]
    kill(running["parent"])
    assert [r.status for r in results] == ["done", "done"]
    assert len(seen()) == 4
    assert caplog.messages == ["baseline, seed 0: its Ray worker died; it goes on, retry 1 of 3"]


def test_retries_have_an_end(
    cluster: str, make_jobs: Any, seen: Seen, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = make_jobs(1, "os.kill(os.getppid(), 9)\ntime.sleep(0.3)")
    assert list(Ray(cpus=0.1, gpus=0, retries=1).launch(jobs)) == []
    assert len(seen()) == 2
    assert caplog.messages[-1].endswith("; it goes on when the study is run again")


def test_a_result_whose_messenger_died_is_not_made_again(
    cluster: str, make_jobs: Any, seen: Seen, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = make_jobs(1, "done('diverged')\nos.kill(os.getppid(), 9)\ntime.sleep(0.3)")
    assert list(Ray(cpus=0.1, gpus=0).launch(jobs)) == []
    assert len(seen()) == 1
    assert caplog.messages[-1].endswith("; its result stands in its folder")


def test_a_job_that_others_stopped_goes_on(cluster: str, make_jobs: Any, seen: Seen) -> None:
    code = "if at > 1:\n    done(); sys.exit()\ntime.sleep(100)"

    def end() -> None:
        wait_for(seen)
        os.kill(seen()[0]["pid"], signal.SIGTERM)

    threading.Thread(target=end, daemon=True).start()
    results = list(Ray(cpus=0.1, gpus=0).launch(make_jobs(1, code)))
    assert [r.status for r in results] == ["done"]
    assert len(seen()) == 2


def test_what_another_process_holds_is_waited_for(
    cluster: str, make_jobs: Any, seen: Seen, tmp_path: Path
) -> None:
    """As where a worker is killed, and its job's process still writes a checkpoint."""
    code = """
import subprocess
lock = folder.parents[1] / "jobs" / f".{folder.name}.lock"
holds = '''
import fcntl, os, sys, time
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(3)
'''
if at == 1:
    lock.parent.mkdir(exist_ok=True)
    held = subprocess.Popen([sys.executable, "-c", holds, str(lock)], stdout=subprocess.PIPE)
    held.stdout.readline()
    sys.exit(2)
done()
"""
    pytest.importorskip("fcntl")
    assert [r.status for r in Ray(cpus=0.1, gpus=0).launch(make_jobs(1, code))] == ["done"]
    assert len(seen()) == 2


DRIVER = """
import pickle, sys
from p2ptk_ray.launcher import Ray
jobs = pickle.loads(open(sys.argv[1], "rb").read())
for result in Ray(address=sys.argv[2], cpus=0.1, gpus=0.5).launch(jobs):
    print(result.seed, result.status, flush=True)
"""


@PROCESSES
def test_a_killed_driver_leaves_nothing_running(
    cluster: str, make_jobs: Any, seen: Seen, tmp_path: Path
) -> None:
    jobs = make_jobs(3, "if seed == 1:\n    done(); sys.exit()\n" + UNTIL_ALONE)
    (tmp_path / "jobs").write_bytes(pickle.dumps(jobs))
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(tmp_path / "jobs"), cluster],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: len(seen()) == 3 and any("ended" in each for each in seen()))
    leases = list((tmp_path / "study").glob(".ray-*"))
    driver.kill()
    assert driver.communicate()[1] == ""
    running = [each for each in seen() if "ended" not in each]
    wait_for(lambda: not any(Path(f"/proc/{each['pid']}").exists() for each in running))
    left = [job for job in jobs if job.seed != 1]
    assert [r.status for r in Ray(cpus=0.1, gpus=0.5).launch(left)] == ["done"] * 2
    assert len(leases) == 1
    assert not leases[0].exists(), "the dead driver's"
