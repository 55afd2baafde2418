"""Jobs on a Slurm cluster, by the package submitit."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from typing import Annotated, Any, Literal

from pydantic import Field

from p2ptk.errors import Unavailable
from p2ptk.study.job import lost, unfinished
from p2ptk.study.records import Job, Status

INSTALL = 'pip install "p2ptk[slurm]"'
POLL = {"slurm": 10.0, "local": 0.5, "debug": 0.1}  # seconds between looks at the queue
# What Slurm calls a job that can go on when it is sent again.
INTERRUPTED = ("CANCELLED", "TIMEOUT", "PREEMPTED", "NODE_FAIL", "REQUEUED", "INTERRUPTED")


class Submitit:
    """Sends each job to a Slurm queue and waits for the results.

    A job whose time is up, or that is preempted, keeps a checkpoint, is queued again and goes on.
    Ctrl-C cancels what is queued or runs.

    partition: of the cluster; none is its default. minutes, gpus, cpus: of each job. memory: GB of
        main memory of each job; none is the partition's default. requeue: times that a job may go
        on after its time is up. cluster: `slurm`; `local` runs the jobs here, all at once; `debug`
        one after the other, in this process.
    Raises Unavailable where the package submitit, or Slurm's commands, are missing.
    """

    def __init__(
        self,
        *,
        partition: str | None = None,
        minutes: Annotated[int, Field(ge=1)] = 240,
        gpus: Annotated[int, Field(ge=0)] = 1,
        cpus: Annotated[int, Field(ge=1)] = 8,
        memory: Annotated[float, Field(gt=0)] | None = None,
        requeue: Annotated[int, Field(ge=0)] = 20,
        cluster: Literal["slurm", "local", "debug"] = "slurm",
    ) -> None:
        if find_spec("submitit") is None:
            raise Unavailable(f"the launcher 'submitit' needs the package submitit: {INSTALL}")
        if cluster == "slurm" and shutil.which("srun") is None:
            raise Unavailable(
                "the launcher 'submitit' finds no Slurm here (no command srun): start the study "
                "where jobs are submitted, or take the launcher 'local'."
            )
        self.cluster = cluster
        self.resources: dict[str, Any] = {
            "timeout_min": minutes,
            "gpus_per_node": gpus,
            "cpus_per_task": cpus,
            "mem_gb": memory,
            "slurm_partition": partition,
            "slurm_setup": ["export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1}"],
        }
        self.requeue = requeue

    def launch(self, jobs: Sequence[Job]) -> Iterator[Any]:
        """Results as the jobs end; a job that the queue lost is a result as well."""
        if not jobs:
            return
        import submitit
        from submitit.helpers import as_completed

        folder = jobs[0].folder.parents[1] / "logs" / "submitit"
        executor = submitit.AutoExecutor(
            folder, cluster=self.cluster, slurm_max_num_timeout=self.requeue
        )
        executor.update_parameters(name="p2ptk", **self.resources)
        with executor.batch():  # one array on Slurm
            handles = [executor.submit(Requeued(job)) for job in jobs]
        of = {id(handle): job for handle, job in zip(handles, jobs, strict=True)}
        waiting = set(of)
        try:
            for handle in as_completed(handles, poll_frequency=POLL[self.cluster]):
                waiting.discard(id(handle))
                yield self._result(of[id(handle)], handle)
        finally:
            for handle in handles:
                if id(handle) in waiting:
                    with suppress(Exception):  # gone already, or the queue does not answer
                        handle.cancel(check=False)

    def _result(self, job: Job, handle: Any) -> Any:
        """What a job gave; where it gave nothing, what the queue says of it."""
        try:
            return handle.result()
        except Exception as error:
            state = str(handle.state).upper()
            said = (str(error).strip().splitlines() or [type(error).__name__])[0]
            reason = f"the queue says {state.lower() or 'nothing'}: {said}"
            if state.startswith(INTERRUPTED):
                return unfinished(job, "stopped", reason)
            status: Status = "out of memory" if state.startswith("OUT_OF_ME") else "crashed"
            return lost(job, status, reason)


class Requeued:
    """A job that submitit sends again where the queue interrupts it."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def __call__(self) -> Any:
        return self.job()

    def checkpoint(self) -> Any:
        """submitit calls this before a job's time is up."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)
