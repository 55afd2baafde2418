"""Several processes of this machine for one run, as torchrun would start them: `--gpus N`."""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path

import torch

from p2ptk.config import RunConfig
from p2ptk.device import choose_device
from p2ptk.errors import P2ptkError, UserError
from p2ptk.pairs.decode import default_workers
from p2ptk.parallel.share import check_shares
from p2ptk.runfolder import RunFolder, job

STOPPED = 3  # exit code of a run that was stopped and can be gone on with
_ANSWER = "P2PTK_ANSWER"  # names the file by which the leader tells `launch` its exit code


def check_processes(config: RunConfig, processes: int) -> None:
    """Raises UserError where so many processes can't train a run on this machine."""
    device = choose_device(config.device)
    if device.type == "cpu" and config.device == "auto":
        raise UserError(
            f"--gpus {processes}: torch sees no GPU here; with --device cpu that many processes "
            "share the CPU."
        )
    if device.type == "cuda" and processes > torch.cuda.device_count():
        raise UserError(f"--gpus {processes}: there are {torch.cuda.device_count()} GPUs here.")
    check_shares(config.train, processes)


def in_process() -> bool:
    """Whether torchrun, or `launch`, has started this process."""
    return "RANK" in os.environ


def leads() -> bool:
    """Whether this process speaks for its run: it is the first one, or alone."""
    return os.environ.get("RANK", "0") == "0"


def launch(arguments: Sequence[str], processes: int, folder: Path) -> int:
    """Run `p2ptk ARGUMENTS` in several processes and give the exit code that one would have.

    folder: the run's. Raises P2ptkError where a process died; the others are ended then.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    for name in logging.root.manager.loggerDict:
        if name.startswith("torch.distributed.elastic"):  # it tells users of it what we tell ours
            logging.getLogger(name).setLevel(logging.CRITICAL)
    cores = default_workers(None, sys.maxsize)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // processes)))
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
    )
    with tempfile.TemporaryDirectory() as place:
        answer = Path(place, "answer")
        os.environ[_ANSWER] = str(answer)
        try:
            elastic_launch(config, sys.executable)("-m", "p2ptk", *arguments)
        except SignalException:
            pass  # handed on to the processes, which have ended by now
        except ChildFailedError as error:
            for rank, failure in error.failures.items():
                if failure.exitcode < 0 and failure.signal_name() != "SIGTERM":  # that is ours
                    raise P2ptkError(
                        f"process {rank} of {processes} was killed ({failure.signal_name()}), and "
                        f"the others were ended: go on with `p2ptk resume {folder}`."
                    ) from None
            return max(1, *(failure.exitcode for failure in error.failures.values()))
        finally:
            del os.environ[_ANSWER]
        return int(answer.read_text()) if answer.exists() else 1


def exit_code(code: int) -> int:
    """What the leader ends with: to torchrun, a run that was told to stop has not failed."""
    if not in_process():
        return code
    if _ANSWER in os.environ:
        Path(os.environ[_ANSWER]).write_text(str(code))
    return 0 if code == STOPPED else code


def need_name_for_restarts(output: Path | None) -> None:
    """Raises UserError where torchrun may start a job anew that would not find its run again."""
    if output is None and int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", 0)):
        raise UserError("--max-restarts needs the run folder, to go on with: give it with -o.")


def restarted(folder: RunFolder) -> bool:
    """Whether torchrun has started this job anew, and the folder holds the run that it began."""
    if not int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)):
        return False
    try:
        found = json.loads((folder.path / "environment.json").read_text("utf-8"))
        return folder.holds_run and found["job"] == job()
    except (OSError, ValueError, LookupError, TypeError):
        return False
