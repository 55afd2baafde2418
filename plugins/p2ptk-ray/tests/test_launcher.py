"""Jobs on a real cluster: what each is given, how many run at a time, and how they are stopped."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from p2ptk import UserError
from p2ptk.testing import conformance
from p2ptk_ray.launcher import Ray

Seen = Callable[[], list[dict[str, Any]]]

# Waits until that many are at work, so that they are known to be at work at the same time.
TOGETHER = """
until = time.time() + 60
while len(list(place.parent.glob("*.1"))) < {n} and time.time() < until:
    time.sleep(0.02)
time.sleep(0.2)
done()
"""


def most_at_once(attempts: list[dict[str, Any]]) -> int:
    """How many of these ran at the same time."""
    return max(
        sum(other["begun"] <= one["begun"] < other["ended"] for other in attempts)
        for one in attempts
    )


def test_what_a_job_is_given(cluster: str, make_jobs: Any, seen: Seen, tmp_path: Path) -> None:
    code = "import signal; seen['blocked'] = signal.SIGTERM in signal.pthread_sigmask(0, [])\n"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        patch.setenv("P2PTK_CACHE", "here")
        patch.setenv("P2PTK_STUDY_PROCESS", "1")
        patch.delenv("OMP_NUM_THREADS", raising=False)
        results = list(Ray(cpus=2, gpus=0).launch(make_jobs(2, code + "done()")))
        patch.setenv("OMP_NUM_THREADS", "7")
        results += Ray(cpus=0.5, gpus=0).launch(make_jobs(4, code + "done()")[2:])
    assert [r.status for r in results] == ["done"] * 4
    attempts = sorted(seen(), key=lambda each: each["begun"])
    assert [each["environment"]["OMP_NUM_THREADS"] for each in attempts] == ["2", "2", "7", "7"]
    for each in attempts:
        assert each["folder"] == str(tmp_path)
        assert each["environment"]["P2PTK_CACHE"] == "here"
        assert each["environment"]["P2PTK_STUDY_PROCESS"] == str(each["parent"])
        assert each["environment"]["CUDA_VISIBLE_DEVICES"] == ""
        assert not each["blocked"]
    assert not list((tmp_path / "study").glob(".ray-*"))


def test_halves_of_gpus(cluster: str, make_jobs: Any, seen: Seen) -> None:
    jobs = make_jobs(10, TOGETHER.format(n=6))
    assert len(list(Ray(cpus=0.1, gpus=0.5).launch(jobs))) == 10
    attempts = seen()
    by_gpu: dict[str, list[dict[str, Any]]] = {}
    for each in attempts:
        by_gpu.setdefault(each["environment"]["CUDA_VISIBLE_DEVICES"], []).append(each)
    assert sorted(by_gpu) == ["0", "1", "2"]
    assert {gpu: most_at_once(found) for gpu, found in by_gpu.items()} == dict.fromkeys(by_gpu, 2)
    assert most_at_once(attempts) == 6


@pytest.mark.parametrize(("gpus", "most", "count"), [(1.0, 3, 1), (2.0, 1, 2)])
def test_whole_gpus_in_the_workers_that_had_halves(
    gpus: float, most: int, count: int, cluster: str, make_jobs: Any, seen: Seen
) -> None:
    jobs = make_jobs(5, TOGETHER.format(n=most))
    list(Ray(cpus=0.1, gpus=gpus).launch(jobs))
    attempts = seen()
    assert most_at_once(attempts) == most
    for each in attempts:
        mine = each["environment"]["CUDA_VISIBLE_DEVICES"].split(",")
        assert len(set(mine)) == count
        assert set(mine) <= set("012")
        for other in attempts:
            if other is not each and other["begun"] <= each["begun"] < other["ended"]:
                theirs = other["environment"]["CUDA_VISIBLE_DEVICES"].split(",")
                assert not set(mine) & set(theirs)


def test_so_many_at_a_time(cluster: str, make_jobs: Any, seen: Seen) -> None:
    list(Ray(cpus=0.1, gpus=0, workers=2).launch(make_jobs(5, TOGETHER.format(n=2))))
    assert most_at_once(seen()) == 2


def test_a_run_that_fails_has_its_result(cluster: str, make_jobs: Any, seen: Seen) -> None:
    code = """
if seed == 0: done("diverged"); sys.exit(4)
if seed == 1: print("error: no luck."); sys.exit(2)
done()
"""
    jobs = make_jobs(5, code)
    found = {r.key: r for r in Ray(cpus=0.1, gpus=0, retries=5).launch(jobs)}
    said = [(job.seed, found[job.key].status, found[job.key].reason) for job in jobs]
    assert Counter(said) == {
        (0, "diverged", ""): 2,
        (1, "crashed", "no luck."): 2,
        (2, "done", ""): 1,
    }
    assert len(seen()) == 5, "none was tried again"


def test_closing_it_stops_what_runs_and_begins_no_more(
    cluster: str, make_jobs: Any, seen: Seen, tmp_path: Path
) -> None:
    code = "if seed == 0 and label == 'baseline': done(); sys.exit()\ntime.sleep(100)"
    results = Ray(cpus=3, gpus=0).launch(make_jobs(6, code))
    assert next(results).status == "done"
    while len(seen()) < 3:
        time.sleep(0.05)
    began = time.monotonic()
    results.close()  # type: ignore[attr-defined]
    assert time.monotonic() - began < 20
    assert len(seen()) == 3
    for each in seen()[:3]:
        with pytest.raises(ProcessLookupError):
            os.kill(each["pid"], 0)
    assert not list((tmp_path / "study").glob(".ray-*"))
    time.sleep(0.5)
    assert len(seen()) == 3


def test_a_job_without_its_program(cluster: str, make_jobs: Any) -> None:
    jobs = [replace(job, command=("/no/such/python",)) for job in make_jobs(2)]
    with pytest.raises(UserError, match=r"the node \S+ of the Ray cluster has no /no/such/python"):
        list(Ray(gpus=0).launch(jobs))
    assert not (jobs[0].folder / "result.json").exists(), "it is no run's fault"


@pytest.mark.parametrize("share", [{"gpus": 4.0}, {"gpus": 0.0, "cpus": 6.5}])
def test_a_share_that_no_node_has(share: dict[str, float], cluster: str, make_jobs: Any) -> None:
    with pytest.raises(UserError, match=r"no node .* for a run; there are nodes of 3 GPUs and 6 c"):
        list(Ray(**share).launch(make_jobs(1)))  # type: ignore[arg-type]


def test_conforms(cluster: str) -> None:
    # test_plugin.py asks whether importing it touches anything.
    skip = ["import-touches-nothing"]
    conformance("launcher", Ray, params={"cpus": 0.5, "gpus": 0.5}, skip=skip)
