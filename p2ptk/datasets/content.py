"""The bytes of a picture file where there is no file: they stand where a reader takes a path."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO


@dataclass(frozen=True)
class Content:
    """A file's bytes, and what to call them in messages; the name's ending chooses the reader."""

    name: str
    data: bytes

    def __str__(self) -> str:
        return self.name

    @property
    def suffix(self) -> str:
        return Path(self.name).suffix

    def open(self, mode: str = "rb") -> BinaryIO:
        return io.BytesIO(self.data)


def opened(path: Path | Content) -> Any:
    """What a library opens: a path as it is, bytes as a file in memory."""
    return path.open() if isinstance(path, Content) else path


def is_filled(path: Path | Content) -> bool | None:
    """Whether there is a file with something in it; None where there is no file."""
    if isinstance(path, Content):
        return bool(path.data)
    return bool(path.stat().st_size) if path.is_file() else None
