"""Uploads and results go away by themselves."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any

PREFIX = "p2ptk-serve-"  # of our folders; the process's number follows
KEEP = 600.0  # seconds that a file stays after it was written
STROKES = 64  # unfinished drawings that may lie in memory


def sweep(folder: Path, older_than: float) -> int:
    """Delete files below `folder` that were written so many seconds ago, and empty folders.

    Gives the number of files deleted.
    """
    count, before = 0, time.time() - older_than
    for path in sorted(folder.rglob("*"), reverse=True):  # what is in a folder comes before it
        with suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                if path.stat().st_mtime < before:
                    path.rmdir()  # refused unless it is empty
            elif path.lstat().st_mtime < before:
                path.unlink()
                count += 1
    return count


def remove_left(folder: Path) -> None:
    """Delete the folders in `folder` that servers left which were killed."""
    if os.name != "posix":
        return  # elsewhere a signal 0 is no question, but the end of the process
    for left in folder.glob(f"{PREFIX}*-*"):
        number = left.name.removeprefix(PREFIX).partition("-")[0]
        if not number.isdigit() or left.lstat().st_uid != os.getuid():
            continue
        try:
            os.kill(int(number), 0)
        except ProcessLookupError:
            shutil.rmtree(left, ignore_errors=True)
        except (PermissionError, OverflowError):
            continue


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    count = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            count += path.lstat().st_size
    return count


def sweeping(folder: Path, drawings: MutableMapping[Any, Any]) -> None:
    """Sweep once a minute, as long as the folder is there."""

    def work() -> None:
        while folder.is_dir():
            sweep(folder, KEEP)
            if len(drawings) > STROKES:
                drawings.clear()
            time.sleep(60)

    threading.Thread(target=work, name="sweep", daemon=True).start()
