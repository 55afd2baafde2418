"""Running a study: what is missing runs, what is there stays, and all results are gathered."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any

from p2ptk.contracts import Launcher
from p2ptk.errors import P2ptkError
from p2ptk.files import lock_folder, write_atomically
from p2ptk.observe import Observer
from p2ptk.runfolder import RunFolder
from p2ptk.study.job import is_done, is_running, read_result, write_result
from p2ptk.study.plan import Plan, Task
from p2ptk.study.records import Evidence, Job, Result

RESULTS = "results.jsonl"
FAILED = ("crashed", "diverged", "out of memory")
ENDED = ("done", *FAILED)


@dataclass(frozen=True)
class Ended:
    """How a call of `run_study` ended. reason: why it stopped before all runs had their result."""

    results: tuple[Result, ...]
    reason: str = ""

    def count(self, *statuses: str) -> int:
        return sum(result.status in statuses for result in self.results)

    @property
    def open(self) -> int:
        """Runs that have no result yet."""
        return len(self.results) - self.count(*ENDED)


def run_study(
    plan: Plan,
    launcher: Launcher,
    observer: Observer | None = None,
    *,
    again: bool = False,
) -> Ended:
    """Start every job that is missing, and those that failed as often as the study allows.

    again: start those that failed beyond that, too. An interrupt (Ctrl-C, SIGTERM) stops the jobs,
    which go on from their checkpoints when the study is run again.
    Raises UserError where another process runs the study, P2ptkError where the launcher is at
    fault.
    """
    tell = observer or Observer()
    with lock_folder(plan.folder):
        plan.write()
        todo = [task for task in plan.tasks if due(plan, task, again=again)]
        total = len(plan.tasks)
        tell.note(f"{total} runs: {total - len(todo)} are there, {len(todo)} to go")
        reason = ""
        tell.begin(total - len(todo), total)
        try:
            with _terminated_like_interrupted():
                while todo and not reason:
                    failed: set[str] = set()
                    for result in _launched(launcher, [task.job for task in todo]):
                        _keep(plan, result)
                        failed |= {result.key} if result.status in FAILED else set()
                        tell.note(in_words(result))
                        tell.stepped(sum(r.status in ENDED for r in gather(plan)))
                    # What was stopped, or handed to a queue, is for the next time.
                    todo = [task for task in todo if task.job.key in failed and due(plan, task)]
                    if todo:
                        tell.note(f"{len(todo)} to be tried again")
        except KeyboardInterrupt:
            reason = "interrupted"
        finally:
            tell.end()
            results = gather(plan)
    return Ended(results, reason)


def due(plan: Plan, task: Task, *, again: bool = False) -> bool:
    """Whether a job is to be started: it has no result, or may be tried again, or was judged by
    other metrics."""
    job = task.job
    if is_done(job.folder, task.table["evaluate"]):
        return False
    result = read_result(job.folder)
    if result is None or result.status not in FAILED:
        return True
    if again:
        return True
    return result.status in plan.file.retry and result.attempts <= plan.file.retries


def gather(plan: Plan) -> tuple[Result, ...]:
    """The result of every job, in the plan's order, written to results.jsonl as well.

    Where there is none it is `running` or `missing`; a run that was judged by other metrics than
    the study has now is `missing`, too.
    """
    results = tuple(_result(task) for task in plan.tasks)
    lines = [r.line() + "\n" for r in results if r.status in ENDED]
    if plan.folder.is_dir():
        write_atomically(plan.folder / RESULTS, "".join(lines).encode())
    return results


def evidence(plan: Plan, results: Sequence[Result] | None = None) -> Evidence:
    """What reports are made from."""
    return Evidence(
        name=plan.read.name,
        root=plan.folder,
        protocol=plan.protocol,
        variants=plan.variants,
        seeds=plan.file.seeds,
        results=tuple(gather(plan) if results is None else results),
        repeat=f"p2ptk study run {plan.read.path.name} -o {plan.folder.name}",
    )


def in_words(result: Result) -> str:
    """One line on how a job ended."""
    head = f"{result.variant}, seed {result.seed}: {result.status}"
    if result.status == "done":
        values = ", ".join(f"{name} {value:.4g}" for name, value in result.metrics.items())
        return f"{head}, {values}" if values else head
    return f"{head}: {result.reason}" if result.reason else head


def _result(task: Task) -> Result:
    job = task.job
    found = read_result(job.folder)
    named: dict[str, Any] = {"variant": job.variant, "seed": job.seed, "key": job.key}
    if is_done(job.folder, task.table["evaluate"]):
        assert found is not None
        return replace(found, **named)
    if is_running(job.folder):
        return Result(status="running", **named)
    if found is not None and found.status in FAILED:
        return replace(found, **named)
    if found is not None and found.status == "done":
        named["reason"] = "it was judged in another way; run the study again to score it anew"
    elif RunFolder(job.folder).holds_run:
        return Result(status="stopped", reason="it goes on when the study is run again", **named)
    return Result(status="missing", **named)


def _launched(launcher: Launcher, jobs: Sequence[Job]) -> Iterator[Result]:
    """The results as the launcher gives them. However this ends, its iterator is closed, which
    stops the jobs that run."""
    known = {job.key for job in jobs}
    results = iter(launcher.launch(jobs))
    try:
        for result in results:
            if not isinstance(result, Result) or result.key not in known:
                raise P2ptkError(
                    f"the launcher {type(launcher).__name__} gave {result!r}, which is no result "
                    "of a job that it was given."
                )
            yield result
    finally:
        if hasattr(results, "close"):
            results.close()


def _keep(plan: Plan, result: Result) -> None:
    """Write a failure down where the job itself could not, as when its process was killed."""
    folder = plan.folder / "runs" / result.key
    if result.status in FAILED and read_result(folder) is None:
        write_result(folder, result, {})


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """Have SIGTERM stop the jobs as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
