"""Jobs on this machine, as many at a time as there are GPUs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Annotated, Any

from pydantic import Field

Job = Callable[..., Any]


class Local:
    """Runs jobs on this machine, each in a process of its own.

    workers: jobs at a time; 0 is one a GPU, or one where there is none. With GPUs each worker sees
        one of them (CUDA_VISIBLE_DEVICES); several workers share the cores (OMP_NUM_THREADS, unless
        it is set already).
    """

    def __init__(self, *, workers: Annotated[int, Field(ge=0)] = 0) -> None:
        self.workers = workers

    def launch(self, jobs: Sequence[Job]) -> Iterator[Any]:
        """Results as the jobs end. Closing the iterator, or Ctrl-C, stops those that run: they keep
        a checkpoint; the others are not begun.

        Raises what a job raises, once the others have been stopped.
        """
        if not jobs:
            return
        gpus = visible_gpus()
        workers = min(self.workers or max(1, len(gpus)), len(jobs))
        crew = _Crew(jobs, [environment(n, workers, gpus) for n in range(workers)])
        try:
            for _ in jobs:
                result, error = crew.ended.get()
                if error is not None:
                    raise error
                yield result
        finally:
            crew.stop()


class _Crew:
    """Threads that take jobs from one pile; each only waits for its job's process."""

    def __init__(self, jobs: Sequence[Job], environments: Sequence[Mapping[str, str]]) -> None:
        self.waiting = list(reversed(jobs))
        self.doing: dict[int, Job] = {}
        self.ended: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        self.threads = [
            Thread(target=self._work, args=(number, each), daemon=True)
            for number, each in enumerate(environments)
        ]
        for thread in self.threads:
            thread.start()

    def stop(self) -> None:
        """Begin no more jobs, end those that run, and wait for them."""
        self.waiting.clear()
        while any(thread.is_alive() for thread in self.threads):
            for job in list(self.doing.values()):
                if hasattr(job, "stop"):
                    job.stop()
            for thread in self.threads:
                thread.join(timeout=0.5)

    def _work(self, number: int, environment: Mapping[str, str]) -> None:
        with suppress(IndexError):  # no job is left
            while True:
                self.doing[number] = job = self.waiting.pop()
                try:
                    self.ended.put((job(environment), None))
                except BaseException as error:
                    self.ended.put((None, error))
                finally:
                    del self.doing[number]


def visible_gpus() -> list[str]:
    """The GPUs that processes of ours may use, as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [each.strip() for each in named.split(",") if each.strip() not in ("", "-1")]
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]


def environment(worker: int, workers: int, gpus: Sequence[str]) -> dict[str, str]:
    """What a worker's processes see: one GPU, and a share of the cores."""
    found = {"CUDA_VISIBLE_DEVICES": gpus[worker % len(gpus)]} if gpus else {}
    if workers > 1 and "OMP_NUM_THREADS" not in os.environ:
        found["OMP_NUM_THREADS"] = str(max(1, cores() // workers))
    return found


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
