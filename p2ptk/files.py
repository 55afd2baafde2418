"""Files that are either whole or not there, sums, and the lock of a run folder."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from p2ptk.errors import P2ptkError, UserError

log = logging.getLogger("p2ptk")

# Unfinished files lie in folders `.p2ptk-MACHINE.PROCESS-RANDOM.tmp`, whatever library writes
# inside, so that those a killed process left can be told from those of living ones.
_STRAY = ".p2ptk-*.tmp"


def write_atomically(path: str | Path, write: Callable[[BinaryIO], object] | bytes) -> None:
    """Put a file in its place at once: a reader, or a crash, meets the old file or the new one.

    write: the content, or a function that writes it to an open binary file.
    Raises P2ptkError where the disk is full, UserError where the place can't be written.
    """
    with replacing(path) as place, place.open("xb") as file:
        file.write(write) if isinstance(write, bytes) else write(file)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A place beside `path` to write to; what is there at the end is flushed and renamed to it.

    Works for a file and, where `path` does not exist yet, for a folder.
    Raises as `write_atomically` does.
    """
    path = Path(os.path.realpath(path))  # a link stays a link: what it points to is replaced
    with explained(path):
        hidden = _hidden(path.parent)
        hidden.mkdir()
        try:
            yield hidden / path.name
            _flush(hidden / path.name)
            _rename(hidden / path.name, path)
            _flush_folder(path.parent)
        finally:
            shutil.rmtree(hidden, ignore_errors=True)


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def lock_folder(folder: str | Path) -> Iterator[None]:
    """Hold a run folder (made if missing) for this process; the system frees it when we die.

    Raises UserError where another process holds it. On a file system without locks it is not
    locked, and a warning says so.
    """
    folder = Path(folder)
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise UserError(
                f"another process is writing to {folder}: wait until it ends, or choose another "
                "run folder."
            ) from None
        except NotImplementedError:
            log.warning("%s is on a file system without locks: run one process at a time", folder)
    try:
        yield
    finally:
        lock.release()


def is_there(text: str | Path) -> bool:
    """Whether a path exists; False for what can't be one, such as a text of many pages."""
    try:
        return Path(text).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        return False


def free_name(path: str | Path) -> Path:
    """`path` if nothing is there, else the first free one of `NAME-2.EXT`, `NAME-3.EXT`, ..."""
    path = Path(path)
    number, free = 2, path
    while os.path.lexists(free):
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
        number += 1
    return free


def remove_strays(folder: str | Path, older_than: float = 0.0) -> None:
    """Delete unfinished files that killed processes left in `folder` (not in folders below it).

    older_than: seconds; spares those of living processes that write there without its lock. Those
        of processes that are known to be dead go at any age.
    """
    for stray in Path(folder).glob(_STRAY):
        with suppress(OSError):
            owner = stray.name.removeprefix(".p2ptk-").partition("-")[0]
            if owner == _owner():
                continue
            if _dead(owner) or time.time() - stray.stat().st_mtime >= older_than:
                shutil.rmtree(stray, ignore_errors=True)


def _hidden(folder: Path) -> Path:
    return folder / f".p2ptk-{_owner()}-{secrets.token_hex(6)}.tmp"


def _owner() -> str:
    return f"{_machine()}.{os.getpid()}"


@cache
def _machine() -> str:
    """Where a process's number means something: the host, and in it the container."""
    names = Path("/proc/self/ns/pid")
    place = f"{platform.node()} {names.readlink() if names.is_symlink() else ''}"
    return hashlib.blake2b(place.encode(), digest_size=4).hexdigest()


def _dead(owner: str) -> bool:
    """Whether a process is known not to run any more; False where it can't be known."""
    machine, _, number = owner.partition(".")
    if os.name == "nt" or machine != _machine() or not number.isdecimal():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def remove_folder(folder: Path) -> None:
    """Delete a folder so that it is never seen half deleted: it is renamed first.

    Where the system refuses, as Windows does while a file in it is open, it stays.
    """
    hidden = _hidden(folder.parent)
    with suppress(OSError):
        folder.rename(hidden)
        shutil.rmtree(hidden, ignore_errors=True)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn a failed write to `path` into one sentence."""
    try:
        yield
    except OSError as error:
        raise _sentence(path, error.errno, error.strerror or str(error)) from error
    except Exception as error:
        # safetensors words an OSError as text: "I/O error: No space left on device (os error 28)",
        # before 0.5 as "Os { code: 28, ...".
        found = re.search(r"\(os error (\d+)\)|\bcode: (\d+)\b", str(error))
        if type(error).__name__ != "SafetensorError" or not found:
            raise
        code = int(found[1] or found[2])
        raise _sentence(path, code, os.strerror(code)) from error


def _sentence(path: Path, code: int | None, words: str) -> P2ptkError:
    if code in (errno.ENOSPC, getattr(errno, "EDQUOT", None)):
        return P2ptkError(f"the disk is full: {path} could not be written; free some space.")
    if code in (errno.EACCES, errno.EPERM, errno.EROFS):
        return UserError(f"{path} can't be written: {words}; choose a place you may write to.")
    if code in (errno.ENOENT, errno.ENOTDIR):
        return UserError(f"{path} can't be written: {path.parent} is no folder.")
    if code in (errno.EEXIST, errno.EISDIR, errno.ENOTEMPTY):
        return UserError(f"{path} can't be written: something else of that name is there.")
    return P2ptkError(f"{path} could not be written: {words}.")


def _rename(source: Path, target: Path) -> None:
    """Rename over what is there; on Windows wait a moment for a reader to close it."""
    for seconds in (0.05, 0.1, 0.2, 0.4, None):
        try:
            source.replace(target)
            return
        except PermissionError:
            if os.name != "nt" or seconds is None:
                raise
            time.sleep(seconds)


def _flush(path: Path) -> None:
    """Have a file, or all files of a folder, reach the disk."""
    if path.is_dir():
        for child in path.iterdir():
            _flush(child)
        _flush_folder(path)
        return
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Have a folder's entries reach the disk; not every system can (Windows does not open one)."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
