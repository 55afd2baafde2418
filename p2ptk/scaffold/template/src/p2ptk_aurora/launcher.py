"""A launcher: starts the jobs of a study, and gives their results as they end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Annotated, Any

from pydantic import Field


class AuroraLauncher:
    """Runs jobs on this machine, each in a process of its own.

    workers: jobs that run at the same time.
    """

    def __init__(self, *, workers: Annotated[int, Field(ge=1)] = 1) -> None:
        self.workers = workers

    def launch(self, jobs: Sequence[Callable[[], Any]]) -> Iterator[Any]:
        with ProcessPoolExecutor(
            self.workers,
            mp_context=get_context("spawn"),  # a forked process can't use CUDA
            max_tasks_per_child=1,
        ) as pool:
            for done in as_completed([pool.submit(job) for job in jobs]):
                yield done.result()
