"""Running a study: only what is missing, failures as often as asked, results in order."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from p2ptk.cli import main
from p2ptk.errors import P2ptkError, UserError
from p2ptk.files import lock_folder
from p2ptk.study.estimate import estimate
from p2ptk.study.job import read_result
from p2ptk.study.plan import Plan, make_plan
from p2ptk.study.records import read_results
from p2ptk.study.run import due, evidence, gather, run_study
from p2ptk.study.status import count_in_words, find_variant, run_rows, to_baseline

WEIGHTS = '[factors]\n"losses.l1.weight" = [100, 10]\n'
Make = Callable[..., Plan]


@pytest.fixture
def plan(tmp_path: Path, pairs: Path, write_study: Callable[..., Path]) -> Make:
    """plan(body, head) -> the plan of a study of two L1 weights, or of `body`."""

    def made(body: str = WEIGHTS, head: str = "", **more: str) -> Plan:
        path = write_study(tmp_path, pairs, body, head, **more)
        return make_plan(path, tmp_path / "out", check=False)

    return made


def test_only_what_is_missing_runs(plan: Make, pretending: Any) -> None:
    launcher = pretending()
    ended = run_study(plan(), launcher)
    assert (ended.open, ended.reason, ended.count("done")) == (0, "", 4)
    assert run_study(plan(), launcher).count("done") == 4
    assert len(launcher.started) == 1
    run_study(plan(WEIGHTS.replace("10]", "10, 1]")), launcher)
    assert launcher.started[1] == [("losses.l1.weight=1", 0), ("losses.l1.weight=1", 1)]
    run_study(plan(head='seeds = [0, 1, 5]\nbudget = "4 steps"\n'), launcher)
    assert launcher.started[2] == [("baseline", 5), ("losses.l1.weight=10", 5)]


def test_results_stand_in_plan_order(plan: Make, pretending: Any, tmp_path: Path) -> None:
    class Backwards(pretending):  # type: ignore[misc]
        def launch(self, jobs: Any) -> Iterator[Any]:
            return super().launch(jobs[::-1])

    made = plan()
    ended = run_study(made, Backwards())
    assert [r.key for r in ended.results] == [job.key for job in made.jobs]
    lines = list(read_results(tmp_path / "out" / "results.jsonl"))
    assert [r.key for r in lines] == [job.key for job in made.jobs]
    assert evidence(made).results == ended.results


@pytest.mark.parametrize(
    ("status", "head", "calls"),
    [
        ("crashed", "", 1),
        ("crashed", "retries = 2\n", 3),
        ("diverged", "retries = 2\n", 1),
        ("diverged", 'retries = 1\nretry = ["diverged", "out of memory"]\n', 2),
        ("out of memory", "retries = 2\n", 1),
    ],
)
def test_retries(plan: Make, pretending: Any, status: str, head: str, calls: int) -> None:
    launcher = pretending(how=lambda job: status if job.seed == 1 else "done")
    ended = run_study(plan(head=head), launcher)
    assert len(launcher.started) == calls
    assert ended.count("done") == 2
    assert [r.attempts for r in ended.results if r.status == status] == [calls, calls]
    run_study(plan(head=head), launcher)
    assert len(launcher.started) == calls, "what was tried often enough is left alone"
    launcher.how = lambda job: "done"
    assert run_study(plan(head=head), launcher, again=True).count("done") == 4


def test_other_metrics_score_anew(plan: Make, pretending: Any, evaluate: str) -> None:
    launcher = pretending()
    first = run_study(plan(), launcher)
    other = plan(evaluate=evaluate.replace('"psnr"', '"l1"'))
    results = gather(other)
    assert {r.status for r in results} == {"missing"}
    assert "score it anew" in results[0].reason
    again = run_study(other, launcher)
    assert [r.key for r in again.results] == [r.key for r in first.results]
    assert len(launcher.started[1]) == 4


def test_an_interrupt_stops_the_launcher(plan: Make, pretending: Any) -> None:
    class Interrupted(pretending):  # type: ignore[misc]
        closed = False

        def launch(self, jobs: Any) -> Iterator[Any]:
            try:
                yield next(super().launch(jobs))
                raise KeyboardInterrupt
            finally:
                self.closed = True

    launcher = Interrupted()
    ended = run_study(plan(), launcher)
    assert launcher.closed
    assert (ended.reason, ended.count("done"), ended.open) == ("interrupted", 1, 3)
    assert run_study(plan(), pretending()).count("done") == 4


def test_a_launcher_that_gives_nothing(plan: Make) -> None:
    class Nothing:
        def launch(self, jobs: Any) -> Iterator[Any]:
            return iter(())

    assert run_study(plan(), Nothing()).open == 4


def test_a_launcher_at_fault(plan: Make) -> None:
    class Wrong:
        def launch(self, jobs: Any) -> Iterator[Any]:
            return iter(["done"])

    with pytest.raises(P2ptkError, match="the launcher Wrong gave 'done', which is no result"):
        run_study(plan(), Wrong())


def test_one_process_at_a_time(plan: Make, pretending: Any, tmp_path: Path) -> None:
    with (
        lock_folder(tmp_path / "out"),
        pytest.raises(UserError, match="another process is writing"),
    ):
        run_study(plan(), pretending())


def test_status_and_show(plan: Make, pretending: Any) -> None:
    made = plan()
    launcher = pretending(how=lambda job: "diverged" if "10" in job.variant else "done")
    results = run_study(made, launcher).results
    assert count_in_words(results) == "2 of 4 runs done, 2 diverged"
    rows = run_rows(made, results)
    assert (rows[0]["step"], rows[0]["steps"], rows[0]["metrics"]["ssim"]) == (4, 4, 0.5)
    assert (rows[2]["status"], rows[2]["step"]) == ("diverged", 0)
    variant = find_variant(made, "losses.l1.weight=10")
    assert to_baseline(made, variant) == {"losses.l1.weight": ("100", "10")}
    with pytest.raises(UserError, match="did you mean 'baseline'"):
        find_variant(made, "basline")


def test_estimate(plan: Make, pretending: Any) -> None:
    made = plan()
    run_study(made, pretending(how=lambda job: "done" if job.variant == "baseline" else "stopped"))
    found = estimate(made, seconds=0.01)
    assert (found.runs, found.to_go) == (4, 4 - 2)
    done, to_go = found.variants
    assert done.seconds is None
    assert to_go.seconds is not None
    assert to_go.seconds > 0
    assert found.seconds == pytest.approx(2 * to_go.seconds)


MIXED = """
[[variants]]
label = "cGAN"
[[variants]]
label = "wild"
train.lr = 1e30
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_stopped_and_run_again_with_local(
    tmp_path: Path, pairs: Path, write_study: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Real jobs: stopped in the middle, gone on with, one variant diverging."""
    head = 'mode = "list"\nseeds = 2\nbudget = "150 steps"\n'
    path = write_study(tmp_path, pairs, "output.log_every = 1\n" + MIXED, head)
    out = tmp_path / "out"
    arguments = ["study", "run", str(path), "-o", str(out)]
    command = [sys.executable, "-m", "p2ptk", *arguments]
    made = make_plan(path, out)
    first = made.tasks[0].job.folder
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        log = first / "metrics.jsonl"
        deadline = time.monotonic() + 120
        while not (log.is_file() and log.read_text().count("\n") > 3):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate()
    assert process.returncode == 3, said
    assert "go on with the same command" in said
    before = {r.status for r in gather(made)}
    assert before <= {"missing", "stopped"}

    with pytest.raises(SystemExit) as ended:
        main(arguments)
    done = capsys.readouterr()
    assert not ended.value.code, done.err
    results = gather(made)
    assert [r.status for r in results] == ["done", "done", "diverged", "diverged"]
    assert "resumed at step" in (out / "logs" / f"{made.jobs[0].key}.log").read_text()
    assert results[0].metrics["ssim"] != results[1].metrics["ssim"]
    assert (out / "report.html").is_file()
    assert "diverged 2/2" in done.out

    assert not [task for task in made.tasks if due(made, task)], "nothing is left to run"
    assert read_result(made.jobs[3].folder).attempts == 1  # type: ignore[union-attr]
