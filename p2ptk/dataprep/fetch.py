"""Fetches one of the sets: download, compare with the record, unpack."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from p2ptk.dataprep.archives import GIB, Archive
from p2ptk.dataprep.download import download
from p2ptk.dataprep.unpack import unpack
from p2ptk.datasets.folders import images_under, split_folders
from p2ptk.errors import P2ptkError, UserError
from p2ptk.files import explained, sha256, write_atomically

Progress = Callable[[str, int, int | None], None]
FORMAT = 1


@dataclass(frozen=True)
class Record:
    """What an archive was when it was first fetched."""

    url: str
    bytes: int
    sha256: str
    fetched: str
    format: int = FORMAT


@dataclass(frozen=True)
class Fetched:
    """What lies in the folder now. new: whether it was fetched just now."""

    folder: Path
    record: Record
    counts: Mapping[str, int]
    new: bool


def fetch(
    archive: Archive,
    out: Path,
    *,
    url: str | None = None,
    keep: bool = False,
    progress: Progress | None = None,
    wait: float = 1.0,
) -> Fetched:
    """Have a set in the folder `out`, unpacked.

    `OUT.tar.gz` is downloaded beside it (one that lies there already is taken), and
    `OUT.tar.gz.json` records its size and SHA-256 when it is first fetched; whenever it is fetched
    again, it must agree with that record.
    keep: leave the archive where it is; else it is deleted when it has been unpacked.
    progress: told (what is being done, bytes, total).

    Raises P2ptkError where the server, the disk or the archive is at fault, UserError where `out`
    is in the way.
    """
    packed = out.with_name(out.name + ".tar.gz")
    beside = packed.with_name(packed.name + ".json")
    url = url or archive.url
    record = _read(beside)
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        if not record or not out.is_dir():
            raise UserError(f"{out} is there already, and was not fetched: give another with -o.")
        return Fetched(out, record, _count(out), new=False)
    with explained(out):
        packed.parent.mkdir(parents=True, exist_ok=True)
    already = packed.exists()
    if not already:
        part = packed.with_name(packed.name + ".part")
        _need_room(packed, archive.size if url == archive.url else 0, part)

        def check(total: int) -> None:
            if record and total != record.bytes:
                raise P2ptkError(
                    f"{url} has {total} bytes, where {record.bytes} were recorded on "
                    f"{record.fetched}: delete {beside} to take the new one."
                )
            _need_room(packed, total, part)

        tell = (lambda done, total: progress("download", done, total)) if progress else None
        download(url, packed, progress=tell, check=check, wait=wait)
    now = Record(
        str(packed) if already else url,
        packed.stat().st_size,
        sha256(packed),
        time.strftime("%Y-%m-%d", time.gmtime()),
    )
    if record and (record.bytes, record.sha256) != (now.bytes, now.sha256):
        raise P2ptkError(
            f"{packed} is not what was fetched on {record.fetched}: its SHA-256 is {now.sha256}, "
            f"where {record.sha256} was recorded. Delete the archive to fetch it again, or "
            f"{beside} to take it."
        )
    told = (lambda done, total: progress("unpack", done, total)) if progress else None
    unpack(packed, out, told)
    if not record:
        write_atomically(beside, json.dumps(asdict(now), indent=1).encode())
    if not keep and not already:
        packed.unlink()
    return Fetched(out, record or now, _count(out), new=True)


def _need_room(packed: Path, total: int, part: Path) -> None:
    """Raises P2ptkError where neither the archive nor what is in it would fit."""
    there = part.stat().st_size if part.exists() else 0
    free, needed = shutil.disk_usage(packed.parent).free, round(2.1 * total) - there
    if free < needed:
        raise P2ptkError(
            f"{packed.parent} has {free / GIB:.1f} GiB free, and {needed / GIB:.1f} are needed for "
            "the archive and what is in it."
        )


def _count(folder: Path) -> dict[str, int]:
    return {split: len(images_under(place)) for split, place in split_folders(folder).items()} or {
        "all": len(images_under(folder))
    }


def _read(path: Path) -> Record | None:
    """The record of an earlier fetch. Raises UserError where it can't be understood."""
    if not path.exists():
        return None
    try:
        table = json.loads(path.read_text("utf-8"))
        if table["format"] > FORMAT:
            raise UserError(f"{path} was written by a newer p2ptk.")
        return Record(**table)
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path} is damaged; delete it to fetch anew.") from None
