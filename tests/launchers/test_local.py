"""The launcher on this machine: how many at a time, what each sees, and how it is stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

import pytest

from p2ptk import create
from p2ptk.launchers.local import Local, environment, visible_gpus


class Recorded:
    """A job that takes a while and keeps what it was given."""

    busy = 0
    most = 0
    lock = threading.Lock()

    def __init__(self, number: int, seconds: float = 0.05) -> None:
        self.number, self.seconds = number, seconds
        self.seen: Mapping[str, str] | None = None
        self.stopped = threading.Event()

    def __call__(self, environment: Mapping[str, str] | None = None) -> int:
        with self.lock:
            Recorded.busy += 1
            Recorded.most = max(Recorded.most, Recorded.busy)
        self.seen = environment
        self.stopped.wait(self.seconds)
        with self.lock:
            Recorded.busy -= 1
        return self.number

    def stop(self) -> None:
        self.stopped.set()


@pytest.fixture(autouse=True)
def no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    Recorded.busy = Recorded.most = 0


@pytest.mark.parametrize("workers", [1, 3])
def test_so_many_at_a_time(workers: int) -> None:
    jobs = [Recorded(n) for n in range(7)]
    assert sorted(Local(workers=workers).launch(jobs)) == list(range(7))
    assert Recorded.most == workers
    assert all(("OMP_NUM_THREADS" in (job.seen or {})) == (workers > 1) for job in jobs)


def test_one_at_a_time_keeps_the_order() -> None:
    assert list(create("launcher", "local").launch([Recorded(n, 0) for n in range(5)])) == [
        *range(5)
    ]


def test_each_worker_sees_one_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, GPU-5e")
    assert visible_gpus() == ["2", "GPU-5e"]
    jobs = [Recorded(n) for n in range(6)]
    list(Local().launch(jobs))
    assert {(job.seen or {})["CUDA_VISIBLE_DEVICES"] for job in jobs} == {"2", "GPU-5e"}
    assert Recorded.most == 2


def test_what_a_worker_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p2ptk.launchers.local.cores", lambda: 16)
    assert environment(0, 1, []) == {}
    assert environment(3, 5, []) == {"OMP_NUM_THREADS": "3"}
    assert environment(0, 1, ["7"]) == {"CUDA_VISIBLE_DEVICES": "7"}
    assert environment(3, 4, ["0", "1"])["CUDA_VISIBLE_DEVICES"] == "1"
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert environment(3, 5, []) == {}


def test_closing_it_stops_what_runs_and_begins_no_more() -> None:
    jobs = [Recorded(0, 0), *(Recorded(n, 60) for n in range(1, 6))]
    results = Local(workers=2).launch(jobs)
    assert next(results) == 0
    began = time.monotonic()
    results.close()  # type: ignore[attr-defined]
    assert time.monotonic() - began < 5
    assert Recorded.busy == 0
    assert sum(job.seen is not None for job in jobs) <= 3


def test_what_a_job_raises_is_raised_here() -> None:
    def broken(environment: Any = None) -> None:
        raise OSError("no space for the log")

    with pytest.raises(OSError, match="no space"):
        list(Local(workers=1).launch([broken, Recorded(1, 60)]))
