"""The members of a tar file, from its headers alone."""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from p2ptk import UserError
from p2ptk_shards.places import File, filesystem, is_local, local_path, read_range

CHUNK = 2**23  # bytes that are read at once from an object store
BLOCK = 512
LIST = ".members.json"  # how the list of a shard's members ends, after the shard's own name
_REGULAR, _LONG_NAME, _EXTENDED = b"0\0007", b"L", b"x"
_SUM = slice(148, 156)


class Member(NamedTuple):
    """A file in a tar: its name, and where its bytes begin."""

    name: str
    at: int
    size: int


Read = Callable[[int, int], bytes]  # from a place, so many bytes or fewer at the end


def members(file: File) -> Iterator[Member]:
    """All regular files in a tar, in their order. Raises UserError where it is cut off or none.

    An object store is asked for a list beside the shard first: it would else send the whole shard.
    """
    if not is_local(file.url):
        listed = _listed(file)
        yield from _members(file, _ahead(file)) if listed is None else listed
        return
    if not file.size:
        raise UserError(f"{file.url} is empty.")
    try:
        with Path(local_path(file.url)).open("rb") as opened:
            mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise UserError(f"{file.url} can't be read: {error.strerror}.") from None
    with mapped:
        yield from _members(file, lambda at, count: mapped[at : at + count])


def write_list(tar: Path) -> None:
    """Write the list of a shard's members beside it, as `members` finds it."""
    found = list(members(File(str(tar), tar.stat().st_size, "")))
    with tar.open("rb") as file:
        file.seek(found[-1].at - BLOCK)
        last = hashlib.sha256(file.read(BLOCK)).hexdigest()
    about = {"format": 1, "bytes": tar.stat().st_size, "last": last, "members": found}
    tar.with_name(tar.name + LIST).write_text(json.dumps(about), "utf-8")


def _listed(file: File) -> list[Member] | None:
    """What the list beside a shard says; None where there is none, or it is another shard's."""
    fs, path = filesystem(file.url)
    try:
        about = json.loads(fs.cat_file(path + LIST))
        found = [Member(*row) for row in about["members"]]
        if about["bytes"] != file.size or about["format"] != 1:
            return None
        last = read_range(file.url, found[-1].at - BLOCK, found[-1].at)
        return found if hashlib.sha256(last).hexdigest() == about["last"] else None
    except UserError:
        raise
    except Exception:  # whatever a store raises for what is not there, or not ours
        return None


def _members(file: File, read: Read) -> Iterator[Member]:
    """The format is that of POSIX (ustar, pax), with GNU's long names."""
    at, name, size = 0, "", -1
    while True:
        head = read(at, BLOCK)
        if head.count(0) == BLOCK:
            return
        if len(head) < BLOCK:
            raise UserError(f"{file.url} is cut off: a tar ends with empty blocks, it does not.")
        if _octal(head[_SUM]) != sum(head) - sum(head[_SUM]) + 8 * ord(" "):
            why = "it is compressed; unpack it, since shards are read at any place"
            packed = head[:2] == b"\x1f\x8b" or head[:4] == b"\x28\xb5\x2f\xfd"
            what = "is no tar file" if not at else f"is damaged at byte {at}"
            raise UserError(f"{file.url} {what}{f': {why}' if packed else ''}.")
        kind, length = head[156:157], _octal(head[124:136])
        body = at + BLOCK
        at = body + -(-length // BLOCK) * BLOCK
        if kind == _LONG_NAME:
            name = read(body, length).rstrip(b"\0").decode("utf-8", "surrogateescape")
            continue
        if kind == _EXTENDED:
            told = _records(read(body, length))
            name = told.get("path", name)
            size = int(told.get("size", size))
            continue
        if size >= 0:  # a size that the header itself has no room for
            length, at = size, body + -(-size // BLOCK) * BLOCK
        name = name or _name(head)
        if body + length > file.size:
            raise UserError(f"{file.url} is cut off within its member {name}.")
        if kind in _REGULAR:
            yield Member(name.removeprefix("./"), body, length)
        name, size = "", -1


def _ahead(file: File) -> Read:
    """Reads of an object store, by large parts; what lies between headers and parts is left out."""
    start, part = 0, b""

    def read(at: int, count: int) -> bytes:
        nonlocal start, part
        end = min(at + count, file.size)
        if not (start <= at and end <= start + len(part)):
            start, part = at, read_range(file.url, at, min(max(end, at + CHUNK), file.size))
        return part[at - start : end - start]

    return read


def _octal(field: bytes) -> int:
    if field[:1] and field[0] & 0x80:  # GNU: a binary number, where octal digits do not suffice
        return int.from_bytes(field, "big") & (1 << (8 * len(field) - 1)) - 1
    try:
        return int(field.strip(b"\0 ") or b"0", 8)
    except ValueError:
        return -1


def _name(head: bytes) -> str:
    name = head[:100].partition(b"\0")[0]
    prefix = head[345:500].partition(b"\0")[0] if head[257:263] == b"ustar\0" else b""
    whole = prefix + b"/" + name if prefix else name
    return whole.decode("utf-8", "surrogateescape")


def _records(data: bytes) -> dict[str, str]:
    """pax: each record is its own length, a space, KEY=VALUE, and a newline."""
    found, at = {}, 0
    while at < len(data):
        length, _, _ = data[at : at + 20].partition(b" ")
        if not length.isdigit() or not int(length):
            break
        record = data[at + len(length) + 1 : at + int(length) - 1].decode("utf-8", "replace")
        key, _, value = record.partition("=")
        found[key] = value
        at += int(length)
    return found
