"""Running a job in a process of its own, and the file in which it says how it ended."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from p2ptk.errors import UserError
from p2ptk.files import explained, write_atomically
from p2ptk.study.records import Job, Result, Status

RESULT = "result.json"  # in the job's folder
PARENT = "P2PTK_STUDY_PROCESS"  # the process that waits for a job, where one does
PATIENCE = 120.0  # seconds that a job which is asked to stop has for its checkpoint
SCORING = ("metrics", "split", "select")  # of the evaluate table: what decides a run's values
STOPPED = (3, 130, 143, -signal.SIGINT, -signal.SIGTERM)  # exit codes of jobs that can go on

_running: dict[Path, subprocess.Popen[bytes]] = {}


def read_result(folder: Path) -> Result | None:
    """How the job of a folder `STUDY/runs/KEY` ended; None where nothing readable says so."""
    text = _text(folder)
    try:
        return Result.of(text) if text else None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def scored_under(folder: Path) -> dict[str, Any]:
    """The evaluate table that a job's values were computed under; empty where there is none."""
    try:
        return dict(json.loads(_text(folder) or "{}").get("evaluate") or {})
    except (ValueError, TypeError, AttributeError):
        return {}


def is_done(folder: Path, evaluate: Mapping[str, Any]) -> bool:
    """Whether a job has ended well, and its values are those that `evaluate` asks for."""
    result = read_result(folder)
    before = scored_under(folder)
    same = all(before.get(key) == evaluate.get(key) for key in SCORING)
    return result is not None and result.status == "done" and same


def write_result(folder: Path, result: Result, evaluate: Mapping[str, Any]) -> None:
    """Keep how a job ended, with the evaluate table that its values were computed under."""
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    table = {**asdict(result), "evaluate": dict(evaluate)}
    write_atomically(folder / RESULT, json.dumps(table, ensure_ascii=False).encode())


@contextmanager
def working(folder: Path) -> Iterator[None]:
    """Hold a job for this process, from training to the last score.

    Raises UserError where another process does the same job.
    """
    lock = _lock(folder)
    try:
        lock.acquire(timeout=2)  # `is_running` may be asking just now
    except Timeout:
        raise UserError(f"another process does the job {folder.name} already.") from None
    except NotImplementedError:  # a file system without locks
        pass
    try:
        yield
    finally:
        lock.release()


def is_running(folder: Path) -> bool:
    """Whether a process of this machine, or of one that shares the folder, does the job now."""
    place = _place(folder)
    if not place.is_file():
        return False
    lock = _lock(folder)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except (NotImplementedError, OSError):
        return False
    lock.release()
    return False


def run_job(job: Job, environment: Mapping[str, str] | None = None) -> Result:
    """Run a job's command to its end, and say how it ended; see `Job.__call__`."""
    before, kills = _stamp(job.folder), _out_of_memory_kills()
    log = log_of(job)
    with explained(log):
        log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        began = file.tell()
        head = f"--- {time.strftime('%Y-%m-%d %H:%M:%S')} {shlex.join(job.command)}\n"
        file.write(head.encode())
        file.flush()
        try:
            code = _wait(job, file, environment)
        except OSError as error:
            file.write(f"error: {job.command[0]}: {error.strerror or error}\n".encode())
            code = 1
    found = read_result(job.folder)
    if found is not None:
        left_alone = code == 0 and found.status == "done"
        if left_alone or _stamp(job.folder) != before:
            return replace(found, variant=job.variant)
    if code in STOPPED:
        return unfinished(job, "stopped", "it was asked to stop; it can go on.")
    if is_running(job.folder):
        return unfinished(job, "running", "another process does it.")
    return lost(job, *_verdict(code, _tail(log, began), _out_of_memory_kills() > kills))


def lost(job: Job, status: Status, reason: str) -> Result:
    """Keep, and give, the result of a job that ended badly without saying so itself."""
    before = read_result(job.folder)
    result = unfinished(job, status, reason)
    if before is not None:
        result = replace(result, attempts=before.attempts + 1, cost=before.cost)
    write_result(job.folder, result, {})
    return result


def unfinished(job: Job, status: Status, reason: str) -> Result:
    """A result without values, which is not kept."""
    before = read_result(job.folder)
    return Result(
        key=job.key,
        variant=job.variant,
        seed=job.seed,
        status=status,
        reason=reason,
        attempts=before.attempts if before else 1,
        folder=f"runs/{job.key}",
    )


def stop_job(job: Job) -> None:
    """Ask the process that `run_job` waits for, in another thread, to stop."""
    process = _running.get(job.folder)
    if process is not None:
        with suppress(OSError):
            process.terminate()


def log_of(job: Job) -> Path:
    """Where the output of a job's process goes: `STUDY/logs/KEY.log`."""
    return job.folder.parents[1] / "logs" / f"{job.key}.log"


def _wait(job: Job, log: Any, environment: Mapping[str, str] | None) -> int:
    """Run the process to its end; what interrupts us asks it to stop, and waits for that."""
    added = {PARENT: str(os.getpid()), "PYTHONUNBUFFERED": "1", **(environment or {})}
    process = subprocess.Popen(
        job.command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env={**os.environ, **added},
    )
    _running[job.folder] = process
    try:
        return process.wait()
    except BaseException:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except BaseException:
            process.kill()
            process.wait()
        raise
    finally:
        _running.pop(job.folder, None)


def _verdict(code: int, lines: list[str], killed_for_memory: bool) -> tuple[Status, str]:
    """A process that left no result: what its exit code and its last lines say."""
    if code == 4:
        return "diverged", _sentence(lines) or "a loss was not finite."
    if killed_for_memory and code in (-9, 137):
        return "out of memory", "the system killed it, as memory had run out."
    if code < 0:
        with suppress(ValueError):
            name = signal.Signals(-code).name
            hint = "; the system does so when memory runs out" if name == "SIGKILL" else ""
            return "crashed", f"it was ended by {name}{hint}."
    if code == 0:
        return "crashed", "its command ended well, but left no result."
    return "crashed", _sentence(lines) or f"it ended with exit code {code} and said nothing."


def _sentence(lines: list[str]) -> str:
    """The error that a log ends with, else its last line."""
    said = [line for line in lines if line and not line.startswith("---")]
    errors = [line for line in said if line.startswith("error: ")]
    return (errors or said or [""])[-1].removeprefix("error: ")[:500]


def _tail(log: Path, began: int) -> list[str]:
    """The last lines that an attempt wrote."""
    with log.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(began, end - 8192))
        return [line.strip() for line in file.read().decode("utf-8", "replace").splitlines()]


def _text(folder: Path) -> str:
    try:
        return (folder / RESULT).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _stamp(folder: Path) -> tuple[int, int] | None:
    """What changes when the result is written anew."""
    try:
        found = (folder / RESULT).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def _place(folder: Path) -> Path:
    return folder.parents[1] / "jobs" / f".{folder.name}.lock"


def _lock(folder: Path) -> FileLock:
    place = _place(folder)
    place.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(place)


def _out_of_memory_kills() -> int:
    """Processes that Linux has killed for want of memory since it started; 0 elsewhere."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
    except (OSError, StopIteration, ValueError, IndexError):
        return 0
