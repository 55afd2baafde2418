"""Unpacks an archive of images that nobody vouches for."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from p2ptk.dataprep.place import staged
from p2ptk.datasets.folders import is_image
from p2ptk.errors import P2ptkError

Progress = Callable[[int, int], None]
SWELL = 20  # images hardly shrink when they are packed; what grows more than this is no set
_LEAST = 1 << 20  # bytes that an archive may always hold
_PIECE = 1 << 20


def unpack(archive: Path, out: Path, progress: Progress | None = None) -> int:
    """Unpack a .tar.gz into the new folder `out`, without the one folder all lies in.

    Only plain files and folders are taken, written by us with our own rights; whatever else an
    archive may hold (links, devices, paths that are absolute or lead out with `..`) has the whole
    archive refused, as do two files of one name and content that swells without end.
    progress: told (bytes read of the archive, its size).

    Gives the number of images. Raises P2ptkError, having written nothing.
    """
    size = archive.stat().st_size
    limit = max(_LEAST, SWELL * size)
    images = total = 0
    with staged(out) as place:
        try:
            with (
                archive.open("rb") as packed,
                _Stream(fileobj=packed) as stream,
                tarfile.open(fileobj=stream, mode="r:") as tar,
            ):
                for member in tar:
                    path = _checked(member, archive)
                    total += member.size
                    if total > limit:
                        raise P2ptkError(
                            f"{archive} is refused: it holds over {SWELL} times its size."
                        )
                    if path is not None and member.isfile():
                        content = tar.extractfile(member)
                        assert content is not None
                        _write(content, place / path, archive)
                        images += is_image(path.name)
                    if progress:
                        progress(packed.tell(), size)
                stream.finish()
        except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
            if isinstance(error, OSError) and error.errno:  # the disk's fault, not the archive's
                raise
            raise P2ptkError(
                f"{archive} is damaged ({str(error) or 'it ends too early'}): delete it and fetch "
                "it again."
            ) from error
        if not images:
            raise P2ptkError(f"{archive} holds no images.")
        inside = [child for child in place.iterdir() if child.name[0] != "."]
        if len(inside) == 1 and inside[0].is_dir():
            _lift(inside[0], place)
    return images


class _Stream(gzip.GzipFile):
    """Remembers the last piece it gave: tarfile takes a damaged header for a regular end."""

    last = b""

    def read(self, size: int | None = -1) -> bytes:
        self.last = super().read(size)
        return self.last

    def finish(self) -> None:
        """Raises TarError or OSError unless the archive ended as it should, and its sum agrees."""
        if self.last.strip(b"\0"):
            raise tarfile.ReadError("a header in it is broken")
        while super().read(_PIECE):
            pass


def _checked(member: tarfile.TarInfo, archive: Path) -> Path | None:
    """Where a member goes; None for what other systems leave in archives. Raises P2ptkError."""

    def refuse(why: str) -> P2ptkError:
        return P2ptkError(f"{archive} is refused: it holds {why}, {member.name!r}.")

    if not (member.isfile() or member.isdir()):
        raise refuse("a link" if member.issym() or member.islnk() else "something that is no file")
    path, elsewhere = PurePosixPath(member.name), PureWindowsPath(member.name)
    if path.is_absolute() or elsewhere.drive or elsewhere.root or "\0" in member.name:
        raise refuse("an absolute path")
    if ".." in path.parts or ".." in elsewhere.parts:
        raise refuse("a path that leads out of its folder")
    if hasattr(tarfile, "data_filter"):  # Python's own check, where this Python has it
        try:
            tarfile.data_filter(member, "/")
        except tarfile.FilterError as error:
            raise refuse(f"what Python refuses ({error})") from error
    if path.name.startswith("._") or path.name in (".DS_Store", ""):
        return None
    return Path(*path.parts)


def _write(content: IO[bytes], path: Path, archive: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("xb") as file:
            while piece := content.read(_PIECE):
                file.write(piece)
    except (FileExistsError, IsADirectoryError):
        raise P2ptkError(f"{archive} is refused: it holds {path.name!r} twice.") from None


def _lift(folder: Path, place: Path) -> None:
    """Move what a folder holds to where the folder is."""
    own = folder.rename(place / ".only")
    for child in own.iterdir():
        child.rename(place / child.name)
    own.rmdir()
