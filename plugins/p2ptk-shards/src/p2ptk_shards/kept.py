"""The cache folder: what was fetched or decoded once, up to a size, the least used goes first."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock

from p2ptk import UserError

STRAY = 86400.0  # seconds after which an unfinished file belongs to nobody
UNSEEN = 0.02  # of the room, which a process may fill before it looks what others wrote
TOUCHED = 60.0  # seconds after which a file that is used is marked as used anew


class Kept:
    """Files in a folder that several processes use. most: bytes that they may take."""

    def __init__(self, folder: Path, most: int) -> None:
        self.folder, self.most = folder.expanduser().absolute(), most
        self._unseen = float(most)  # bytes that were written since the folder was looked through

    def file(self, name: str, make: Callable[[Path], None]) -> Path:
        """The file of that name; where it is not there, `make` writes it, in one process, while
        others wait. It may be removed later: who finds it gone asks again.

        Raises UserError where the folder can't be written, and what `make` raises.
        """
        path = self.folder / name
        if _use(path):
            return path
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self._lock(name)):
                if not _use(path):
                    self._make(path, make)
        except OSError as error:
            full = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
            raise UserError(
                f"the cache folder {self.folder} can't be written: {full}; name another, or a "
                "smaller cache_gb."
            ) from error
        return path

    def _lock(self, name: str) -> Path:
        return self.folder / f".{name}.lock"

    @contextmanager
    def passing(self, make: Callable[[Path], None]) -> Iterator[Path]:
        """A file that `make` writes, for as long as the block is open."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = _unfinished(self.folder / "passing")
        try:
            make(path)
            yield path
        finally:
            path.unlink(missing_ok=True)

    def _make(self, path: Path, make: Callable[[Path], None]) -> None:
        unfinished = _unfinished(path)
        try:
            make(unfinished)
            with unfinished.open("rb") as file:
                os.fsync(file.fileno())
            size = unfinished.stat().st_size
            self._unseen += size
            if self._unseen > self.most * UNSEEN:
                self._make_room(size)
                self._unseen = 0.0
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)

    def _make_room(self, coming: int) -> None:
        """Remove what was not used for longest; what is in use now is read by who holds it."""
        kept, now = [], time.time()
        for entry in os.scandir(self.folder):
            with suppress(OSError):
                known = entry.stat()
                if entry.name.endswith(".tmp"):
                    if now - known.st_mtime > STRAY:
                        Path(entry.path).unlink()
                elif entry.is_file() and not entry.name.startswith("."):
                    kept.append((known.st_mtime, known.st_size, entry.path))
        room = self.most - coming - sum(size for _, size, _ in kept)
        for _, size, path in sorted(kept):
            if room >= 0:
                return
            with suppress(OSError):
                Path(path).unlink()
                room += size
                self._lock(Path(path).name).unlink(missing_ok=True)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill, which is then renamed; one that another process made meanwhile stays."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = _unfinished(folder)
    unfinished.mkdir()
    try:
        yield unfinished
        with suppress(OSError):
            unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _unfinished(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")


def _use(path: Path) -> bool:
    """Whether a file is there; it then counts as used now."""
    try:
        if time.time() - path.stat().st_mtime > TOUCHED:
            os.utime(path)
    except OSError:
        return False
    return True
