"""Jobs as tasks of a Ray cluster."""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from p2ptk import Unavailable, UserError
from p2ptk_ray.cluster import Share, first_sentence, joined, need_room, nodes, share
from p2ptk_ray.task import HELD, Answer, Order, carry_out

log = logging.getLogger("p2ptk.ray")

POLL = 1.0  # seconds between looks at the tasks
ROOM = 60.0  # seconds between looks at whether a node is left that is large enough
LEASE = ".ray-{}.lease"  # in the study's folder


class Ray:
    """Runs each job as a task of a Ray cluster, in a process of its own.

    Results that get lost stand in the study's folder, which all nodes have to see. A run whose
    worker or node dies goes on from its checkpoint, maybe elsewhere; one that fails by itself has
    its result, and is not tried again here.

    address: HOST:PORT of a cluster that this machine belongs to, or `auto`; none is RAY_ADDRESS
        where that is set, else a cluster of this machine that ends with the study.
    cpus: cores that a run takes, and threads of its process; none is its GPU's part of the node's,
        one where it takes no GPU.
    gpus: GPUs that a run takes; 0.5 puts two on one. None is 1 where there are any.
    workers: runs at a time; 0 is as many as there is room for.
    retries: times that a run is started again after its worker or node died.
    wait: queue the runs though no node is large enough yet, where nodes come on demand.
    Raises Unavailable where Ray is not installed, UserError for GPUs that Ray can't divide so.
    """

    def __init__(
        self,
        *,
        address: str | None = None,
        cpus: Annotated[float, Field(gt=0)] | None = None,
        gpus: Annotated[float, Field(ge=0)] | None = None,
        workers: Annotated[int, Field(ge=0)] = 0,
        retries: Annotated[int, Field(ge=0)] = 3,
        wait: bool = False,
    ) -> None:
        if find_spec("ray") is None:
            raise Unavailable(
                "the launcher 'ray' needs Ray, which is not installed here: pip install ray"
            )
        if gpus is not None and gpus > 1 and gpus != int(gpus):
            raise UserError(f"gpus={gpus:g}: Ray divides one GPU, or gives whole ones.")
        self.address, self.cpus, self.gpus = address, cpus, gpus
        self.workers, self.retries, self.wait = workers, retries, wait

    def launch(self, jobs: Sequence[Any]) -> Iterator[Any]:
        """Results as the jobs end. Closing the iterator, or Ctrl-C, stops those that run: they keep
        a checkpoint; the others are not begun.

        Raises UserError where the cluster can't be reached, has no node that is large enough, or
        has one that does not see the study's folder; and what a job raises.
        """
        if not jobs:
            return
        with joined(self.address):
            found = nodes()
            wanted = share(self.cpus, self.gpus, found)
            if not self.wait:
                need_room(wanted, found)
            with _lease(jobs[0].folder.parents[1]) as lease:
                tasks = _Tasks(jobs, lease, wanted, self.workers or len(jobs), self.retries)
                try:
                    yield from tasks.results()
                finally:
                    lease.unlink(missing_ok=True)
                    tasks.stop()


class _Tasks:
    """Jobs that wait, and those that Ray has."""

    def __init__(
        self, jobs: Sequence[Any], lease: Path, wanted: Share, most: int, retries: int
    ) -> None:
        import ray

        self.ray = ray
        self.waiting = deque(jobs)
        self.lease, self.wanted, self.most, self.retries = lease, wanted, most, retries
        self.given: dict[Any, Any] = {}  # reference of a task: its job
        self.before: dict[str, Any] = {}
        self.losses: Counter[str] = Counter()
        threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, int(wanted.cpus)))
        self.environment = {**_settings(), "OMP_NUM_THREADS": threads}
        # Ray would retry without an end where memory lacks, and without a word.
        self.task = ray.remote(carry_out).options(
            num_cpus=wanted.cpus, num_gpus=wanted.gpus, max_retries=0, name="p2ptk"
        )

    def results(self) -> Iterator[Any]:
        look, room = time.monotonic() + ROOM, True
        while self.waiting or self.given:
            while self.waiting and len(self.given) < self.most:
                self._give(self.waiting.popleft())
            ended, _ = self.ray.wait(list(self.given), timeout=POLL)
            for reference in ended:
                result = self._result(reference, self.given.pop(reference))
                if result is not None:
                    yield result
            if time.monotonic() >= look:
                before, room = room, any(self.wanted.fits(node) for node in nodes())
                if before and not room:
                    log.warning("no node has %s any more: waiting for one", self.wanted)
                look = time.monotonic() + ROOM

    def stop(self) -> None:
        """Take back what waits, end what runs, and wait for its checkpoints."""
        with suppress(self.ray.exceptions.RayError):  # the cluster is gone
            for reference in self.given:
                self.ray.cancel(reference)
            if self.given:
                self.ray.wait(list(self.given), num_returns=len(self.given), timeout=HELD)

    def _give(self, job: Any) -> None:
        self.before[job.key] = _stamp(job)
        order = Order(job, self.lease, Path.cwd(), self.environment)
        self.given[self.task.remote(order)] = job

    def _result(self, reference: Any, job: Any) -> Any:
        """What a job gave; None where that is lost."""
        errors = self.ray.exceptions
        try:
            answer: Answer = self.ray.get(reference)
        except errors.RayTaskError as error:
            if isinstance(error.cause, Exception):  # the job's own
                raise error.cause from None
            raise _not_begun(error) from error
        except errors.RaySystemError as error:  # what came could not be read there
            raise _not_begun(error) from error
        except errors.RayError as error:
            return self._lost(job, _in_words(error))
        if answer.trouble:
            raise UserError(f"the node {answer.node} of the Ray cluster {answer.trouble}")
        if answer.result is None:
            return self._lost(job, f"its task was cancelled on {answer.node}")
        if answer.result.status == "stopped":  # not by us: the node is about to go, maybe
            return self._lost(job, f"it was stopped on {answer.node}", answer.result)
        return answer.result

    def _lost(self, job: Any, reason: str, result: Any = None) -> Any:
        """Start a job again, if it may; else give its result, where it has one."""
        run = f"{job.variant}, seed {job.seed}"
        if result is None and _stamp(job) != self.before[job.key]:
            log.warning("%s: %s; its result stands in its folder", run, reason)
            return None
        self.losses[job.key] += 1
        if self.losses[job.key] > self.retries:
            log.warning("%s: %s; it goes on when the study is run again", run, reason)
            return result
        log.warning(
            "%s: %s; it goes on, retry %d of %d", run, reason, self.losses[job.key], self.retries
        )
        self.waiting.append(job)
        return None


def _in_words(error: Exception) -> str:
    name = type(error).__name__
    said = {
        "WorkerCrashedError": "its Ray worker died",
        "NodeDiedError": "its node died",
        "OutOfMemoryError": "Ray ended it, as the memory of its node had run out",
        "TaskCancelledError": "its task was cancelled",
    }
    return said.get(name, f"Ray lost its result ({name})")


def _not_begun(error: Exception) -> UserError:
    return UserError(
        "a Ray worker could not begin a run; every node needs the same p2ptk and p2ptk-ray: "
        f"{first_sentence(error)}"
    )


@contextmanager
def _lease(study: Path) -> Iterator[Path]:
    """A file that is there as long as the jobs may run; see `task`.

    A driver that was killed left its own. Nobody else runs the study now: p2ptk holds its folder.
    """
    try:
        study.mkdir(parents=True, exist_ok=True)
        for old in study.glob(LEASE.format("*")):
            old.unlink(missing_ok=True)
        lease = study / LEASE.format(secrets.token_hex(4))
        lease.touch()
    except OSError as error:
        raise UserError(f"{study} can't be written: {error.strerror or error}.") from error
    try:
        yield lease
    finally:
        with suppress(OSError):
            lease.unlink(missing_ok=True)


def _settings() -> dict[str, str]:
    """p2ptk's own variables here, such as P2PTK_PLUGINS: a cluster has those it was started with.

    P2PTK_STUDY_PROCESS tells a job who waits for it, which is its worker.
    """
    mine = {name: value for name, value in os.environ.items() if name.startswith("P2PTK_")}
    return {name: value for name, value in mine.items() if name != "P2PTK_STUDY_PROCESS"}


def _stamp(job: Any) -> tuple[int, int] | None:
    """What changes when the result of a job is written."""
    try:
        found = (job.folder / "result.json").stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino
