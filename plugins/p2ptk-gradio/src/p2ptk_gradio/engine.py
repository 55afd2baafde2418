"""The queue that all requests go through, and what runs of it together.

Requests that wait at the same time, ask for the same and have pictures of one size run as one
batch; nothing waits for company.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field

from PIL import Image
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from p2ptk_gradio.limits import Limits, Refused, explain, need_size
from p2ptk_gradio.models import Ask, Models


@dataclass
class _Job:
    ask: Ask
    picture: Image.Image
    future: Future[Image.Image] = field(default_factory=Future)

    @property
    def key(self) -> tuple[object, ...]:
        return self.ask, self.picture.mode, self.picture.size


class Measures:
    """What /metrics tells."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "p2ptk_requests", "Requests by route and status", ["route", "status"],
            registry=self.registry,
        )  # fmt: skip
        self.seconds = Histogram(
            "p2ptk_request_seconds", "From a request's first byte to its answer",
            registry=self.registry, buckets=(0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60),
        )  # fmt: skip
        self.batches = Histogram(
            "p2ptk_batch_size", "Pictures that ran together",
            registry=self.registry, buckets=(1, 2, 4, 8, 16, 32),
        )  # fmt: skip
        self.pixels = Counter("p2ptk_pixels", "Pixels translated", registry=self.registry)
        self.waiting = Gauge("p2ptk_queue", "Translations that wait", registry=self.registry)


class Engine:
    """Translates what is handed in, in threads of its own. Call `start` first, `close` at last."""

    def __init__(self, models: Models, limits: Limits | None = None) -> None:
        self.models, self.limits, self.measures = models, limits or Limits(), Measures()
        self._jobs: deque[_Job] = deque()
        self._change = threading.Condition()
        self._open, self._draining, self._inside = False, False, 0
        self._ready = threading.Event()
        self._threads: list[threading.Thread] = []
        self.measures.waiting.set_function(lambda: len(self._jobs))

    def start(self) -> None:
        """Begin to work, and load the first model."""
        self._open = True
        self._threads = [
            threading.Thread(target=self._work, name=f"translate-{n}", daemon=True)
            for n in range(self.limits.workers)
        ]
        for thread in self._threads:
            thread.start()
        threading.Thread(target=self._warm, name="warm", daemon=True).start()

    def _warm(self) -> None:
        try:
            self.models.first.translator()
            self._ready.set()
        except Exception as error:
            explain(error)  # in the log; /readyz goes on saying no

    @property
    def is_ready(self) -> bool:
        return self._ready.is_set() and not self._draining

    def wait_ready(self, seconds: float) -> bool:
        return self._ready.wait(seconds)

    def drain(self) -> None:
        """Take no new request; those that are inside go on."""
        self._draining = True

    @property
    def is_empty(self) -> bool:
        return self._inside == 0

    @contextmanager
    def request(self) -> Iterator[None]:
        """Be inside the server. Raises Refused (503) once it is being stopped."""
        if self._draining:
            raise Refused(503, "the server is being stopped: try again later.")
        with self._change:
            self._inside += 1
        try:
            yield
        finally:
            with self._change:
                self._inside -= 1

    def submit(self, picture: Image.Image, ask: Ask) -> Future[Image.Image]:
        """Queue a translation.

        Raises Refused: 404 for an unknown model, 413 for a size, 503 where the queue is full.
        """
        model = self.models.get(ask.model)
        need_size(picture.size, model.header.size_multiple, self.limits)
        job = _Job(ask, picture)
        with self._change:
            if len(self._jobs) >= self.limits.queue:
                raise Refused(503, f"{len(self._jobs)} pictures are waiting already: try later.")
            self._jobs.append(job)
            self._change.notify()
        return job.future

    def translate(self, picture: Image.Image, ask: Ask) -> Image.Image:
        """Translate and wait. Raises Refused, whatever went wrong."""
        try:
            future = self.submit(picture, ask)
            try:
                return future.result(self.limits.timeout)
            finally:
                future.cancel()  # no effect on what is done
        except Exception as error:
            raise explain(error) from None

    def close(self, seconds: float = 5.0) -> None:
        """Finish what is queued and end the threads, at most so long."""
        with self._change:
            self._open = False
            self._change.notify_all()
        end = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _work(self) -> None:
        while True:
            with self._change:
                while not self._jobs:
                    if not self._open:
                        return
                    self._change.wait()
                batch = self._next()
            self._run([job for job in batch if job.future.set_running_or_notify_cancel()])

    def _next(self) -> list[_Job]:
        """The one that has waited longest, and those that can run with it."""
        first = self._jobs.popleft()
        batch = [first]
        for job in list(self._jobs):
            if len(batch) == self.limits.batch:
                break
            if job.key == first.key:
                self._jobs.remove(job)
                batch.append(job)
        return batch

    def _run(self, batch: list[_Job]) -> None:
        if not batch:
            return
        ask = batch[0].ask
        pictures = [job.picture for job in batch]
        try:
            results = self.models.get(ask.model).translate(pictures, ask, self.limits.batch)
        except Exception as error:
            if len(batch) == 1:
                batch[0].future.set_exception(error)
            else:  # find the one at fault
                for job in batch:
                    self._run([job])
            return
        self.measures.batches.observe(len(batch))
        for job, result in zip(batch, results, strict=True):
            self.measures.pixels.inc(result.width * result.height)
            job.future.set_result(result)
