"""A launcher: starts the jobs of a study, and gives their results as they end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Annotated, Any

from pydantic import Field


class AuroraLauncher:
    """Runs jobs on this machine, several at the same time.

    workers: jobs at a time.
    """

    def __init__(self, *, workers: Annotated[int, Field(ge=1)] = 1) -> None:
        self.workers = workers

    def launch(self, jobs: Sequence[Any]) -> Iterator[Any]:
        # A job runs in a process of its own: the threads only wait for them.
        pool = ThreadPoolExecutor(self.workers)
        waiting = [pool.submit(job) for job in jobs]
        try:
            for done in as_completed(waiting):
                yield done.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for future, job in zip(waiting, jobs, strict=True):
                if future.running():
                    job.stop()
