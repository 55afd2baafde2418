"""What a Ray worker does with a job: it waits for the job's process, and ends it when told to.

The driver keeps a file in the study's folder, the lease, for as long as its jobs may run. A worker
that does not see it when a task begins does not see the study's folder; one that misses it later
stops its job, as at Ctrl-C.
"""

from __future__ import annotations

import os
import platform
import shutil
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WATCH = 0.5  # seconds between looks at the lease
APPEARS = 10.0  # seconds that a network file system may take to show a new file
# A job whose process lost its worker has 120 s for its checkpoint, and holds its folder until then.
HELD = 150.0
AGAIN = 2.0  # seconds between attempts at a job that another process still holds


@dataclass(frozen=True)
class Order:
    """A job, and how it is run.

    job: as p2ptk gives it. lease: the file that the driver keeps. folder: the driver's working
    folder, which is the job's too where the node has it. environment: variables of the job.
    """

    job: Any
    lease: Path
    folder: Path
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    """What became of an order.

    result: the job's; None where it was not begun, or cancelled at once. trouble: what is wrong
    with the node, as the end of a sentence that begins with its name.
    """

    node: str
    result: Any = None
    trouble: str = ""


def carry_out(order: Order) -> Answer:
    """Run a job in a process of its own, on the GPUs that Ray gave to this task.

    The process ends with a checkpoint when the task is cancelled and when the lease is gone. Where
    this worker is killed, Ray ends it at once, or else it notices. Raises what the job raises.
    """
    node = platform.node()
    try:
        trouble = _trouble(order)
        if trouble:
            return Answer(node, trouble=trouble)
        # Workers are used again, by tasks of several drivers: each sets its own.
        with suppress(OSError):
            os.chdir(order.folder)
    except KeyboardInterrupt:  # cancelled
        return Answer(node)
    errand = _Errand(order, {**order.environment, "CUDA_VISIBLE_DEVICES": _gpus()})
    return Answer(node, result=errand.result())


class _Errand:
    """A thread that waits for the job's process, so that this one can be interrupted."""

    def __init__(self, order: Order, environment: Mapping[str, str]) -> None:
        self.order, self.environment = order, environment
        self.stopping = threading.Event()
        # Not Thread.join: Python 3.11 takes a thread for ended when an interrupt comes then.
        self.ended = threading.Event()
        self.found: Any = None
        self.error: BaseException | None = None

    def result(self) -> Any:
        """The job's result, also of a cancelled task, once the process has ended; None where that
        was not begun."""
        thread = threading.Thread(target=self._run, daemon=True)
        try:
            thread.start()
            while not self.ended.is_set():
                with suppress(KeyboardInterrupt):  # how Ray tells that the task is cancelled
                    self._look()
                    continue
                self.stopping.set()
        finally:  # interrupted at the start, or by SystemExit: Ray ends this worker
            self.stopping.set()
            while thread.ident is not None and not self.ended.is_set():
                self._look()
        if self.error is not None:
            raise self.error
        return self.found

    def _look(self) -> None:
        if self.ended.wait(WATCH):
            return
        if self.stopping.is_set() or is_gone(self.order.lease):
            self.stopping.set()
            self.order.job.stop()

    def _run(self) -> None:
        try:
            until = time.monotonic() + HELD
            while not self.stopping.is_set():
                self.found = self.order.job(self.environment)
                # The attempt before this one may still be writing its checkpoint, maybe elsewhere.
                if self.found.status != "running" or time.monotonic() >= until:
                    return
                self.stopping.wait(AGAIN)
        except BaseException as error:
            self.error = error
        finally:
            self.ended.set()


def is_gone(lease: Path) -> bool:
    """Whether a file is known not to be there. It is opened, since network file systems answer
    that anew, and what else they may answer for a moment is no reason to stop a job."""
    try:
        with lease.open("rb"):
            return False
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False


def _trouble(order: Order) -> str:
    """Why no job can be run on this node."""
    program = order.job.command[0]
    if shutil.which(program) is None:
        return f"has no {program}: install p2ptk at the same place on every node."
    until = time.monotonic() + APPEARS
    while is_gone(order.lease):
        if time.monotonic() >= until:
            return (
                f"does not see the study's folder {order.lease.parent}: give one that all nodes "
                "share, by -o."
            )
        time.sleep(WATCH)
    return ""


def _gpus() -> str:
    """This task's GPUs, as CUDA_VISIBLE_DEVICES names them; Ray leaves all visible to a task that
    asked for none."""
    import ray

    given = ray.get_runtime_context().get_accelerator_ids()
    return ",".join(str(each) for each in given.get("GPU", ()))
