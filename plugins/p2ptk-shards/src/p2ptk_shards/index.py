"""Where each pair lies in which tar shard: arrays in files, made once, mapped into memory."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from filelock import FileLock

from p2ptk import UserError
from p2ptk_shards.headers import members
from p2ptk_shards.kept import new_folder
from p2ptk_shards.places import File, labels

FORMAT = 1
SHOWN = 3  # keys of a problem that are named
_ROW = np.dtype(
    [(n, "<i8") for n in ("a", "a_size", "b", "b_size", "name_end")]
    + [(n, "u1") for n in ("a_ending", "b_ending")]
)
# As webdataset splits a name: the key is all before the first dot of its last part.
_KEY = re.compile(r"((?:.*/|)[^./][^.]*|(?:.*/)[^.]+)[.]([^/]*)", re.DOTALL)

log = logging.getLogger("p2ptk")


class Wanted(NamedTuple):
    """Which members are A and B, by their endings; `both` holds A and B side by side."""

    a: str
    b: str
    both: str | None


class Row(NamedTuple):
    """A pair's members: where they begin, how long they are, and how their names end."""

    a: int
    a_size: int
    b: int
    b_size: int
    a_ending: str
    b_ending: str


class Index:
    """Pairs by number, over all shards of a split, in their order.

    lengths: pairs of each shard. folder: where the arrays lie, so that worker processes map them
    rather than get them sent; None where that could not be written.
    """

    def __init__(self, folder: Path | None, about: dict[str, Any], arrays: Any = None) -> None:
        self.folder, self.about, self._arrays = folder, about, arrays
        self.lengths: list[int] = about["lengths"]
        self.endings: list[str] = about["endings"]

    @classmethod
    def of(cls, files: Sequence[File], wanted: Wanted, place: Path) -> Index:
        """The index of these shards from `place`, where it is made if it is not there.

        Raises UserError where a shard is damaged, or a key lacks a side.
        """
        said = json.dumps([FORMAT, wanted, files])
        folder = place / hashlib.sha256(said.encode()).hexdigest()[:20]
        if found := cls._kept(folder):
            return found
        try:
            place.mkdir(parents=True, exist_ok=True)
            with FileLock(place / f".{folder.name}.lock"):  # processes of one run come at once
                if found := cls._kept(folder):
                    return found
                shutil.rmtree(folder, ignore_errors=True)  # what is there is not whole
                about, rows, names = _made(files, wanted)
                with new_folder(folder) as unfinished:
                    np.save(unfinished / "rows.npy", rows)
                    (unfinished / "names.bin").write_bytes(names)
                    (unfinished / "about.json").write_text(json.dumps(about), "utf-8")
                return cls(folder, about)
        except OSError as error:
            log.warning("the index of the shards is not kept: %s", error)
            about, rows, names = _made(files, wanted)
            return cls(None, about, (rows, np.frombuffer(names, "u1")))

    @classmethod
    def _kept(cls, folder: Path) -> Index | None:
        with suppress(OSError, ValueError, LookupError):
            found = cls(folder, json.loads((folder / "about.json").read_text("utf-8")))
            if len(found.arrays[0]) == sum(found.lengths):
                return found
        return None

    def __len__(self) -> int:
        return len(self.arrays[0])

    def row(self, number: int) -> Row:
        row = self.arrays[0][number]
        a, b = (self.endings[int(row[f"{side}_ending"])] for side in "ab")
        return Row(int(row["a"]), int(row["a_size"]), int(row["b"]), int(row["b_size"]), a, b)

    def key(self, number: int) -> str:
        rows, names = self.arrays
        start = int(rows[number - 1]["name_end"]) if number else 0
        return bytes(names[start : int(rows[number]["name_end"])]).decode("utf-8", "replace")

    @property
    def arrays(self) -> Any:
        if self._arrays is None:
            assert self.folder is not None
            rows = np.load(self.folder / "rows.npy", mmap_mode="r")
            self._arrays = rows, np.memmap(self.folder / "names.bin", mode="r")
        return self._arrays

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | ({"_arrays": None} if self.folder else {})


def index_place(cache: Path | None) -> Path:
    """In the folder given for shards, else where p2ptk keeps things."""
    if cache is None:
        import platformdirs

        cache = Path(os.environ.get("P2PTK_CACHE") or platformdirs.user_cache_dir("p2ptk"))
    return cache.expanduser().absolute() / "indices"


def _made(files: Sequence[File], wanted: Wanted) -> tuple[dict[str, Any], Any, bytes]:
    endings: dict[str, int] = {}
    lengths, all_rows, all_names, seen = [], [], [], []
    if len(files) > 1:
        log.info("reading the headers of %d shards", len(files))
    total = 0
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(partial(_pairs_of, wanted=wanted), files):
            rows = np.zeros(len(found), _ROW)
            for i, (key, sides) in enumerate(found.items()):
                (a, a_size, a_end), (b, b_size, b_end) = sides
                total += len(key)
                numbers = (endings.setdefault(e, len(endings)) for e in (a_end, b_end))
                rows[i] = (a, a_size, b, b_size, total, *numbers)
            lengths.append(len(rows))
            all_rows.append(rows)
            all_names.append(b"".join(found))
            # 64 bits of each key tell whether keys are unique over all shards.
            seen.append(np.array([hash(key) for key in found], dtype=np.int64))
    hashes = np.sort(np.concatenate(seen))
    repeated = bool((hashes[1:] == hashes[:-1]).any())
    about = {
        "lengths": lengths,
        "endings": list(endings),
        "labels": labels(files) if repeated else [],
    }
    return about, np.concatenate(all_rows), b"".join(all_names)


_Sides = list[tuple[int, int, str]]


def _pairs_of(file: File, wanted: Wanted) -> dict[bytes, _Sides]:
    """The pairs of a shard by their keys: place, size and ending of A and of B."""
    sides = (wanted.both,) if wanted.both else (wanted.a, wanted.b)
    found: dict[bytes, list[Any]] = {}
    others: set[str] = set()
    for member in members(file):
        split = _KEY.fullmatch(member.name)
        if not split:
            continue
        which = [i for i, end in enumerate(sides) if _is(split[2], end)]
        if not which:
            others.add(split[2])
            continue
        key = split[1].encode("utf-8", "surrogateescape")
        own = found.setdefault(key, [None] * len(sides))
        if own[which[0]] is not None:
            raise UserError(
                f"{file.url}: the key {split[1]!r} has two members .{own[which[0]][2]} and "
                f".{split[2]} for one side."
            )
        own[which[0]] = (member.at, member.size, split[2])
    _need_all(file, found, sides, others)
    return {key: own * 2 if wanted.both else own for key, own in found.items()}


def _need_all(
    file: File, found: dict[bytes, list[Any]], sides: Sequence[str], others: set[str]
) -> None:
    if not found:
        ends = ", ".join(f".{end}" for end in sorted(others)[:12]) or "nothing"
        wanted = " or ".join(f".{side}" for side in sides)
        raise UserError(
            f"{file.url} has no members that end with {wanted}; they end with {ends}: name the "
            "endings of the two sides, as a=jpg,b=png, or both=jpg for pictures side by side."
        )
    for i, side in enumerate(sides):
        lone = [key.decode("utf-8", "replace") for key, own in found.items() if own[i] is None]
        if lone:
            shown = ", ".join(repr(key) for key in lone[:SHOWN])
            more = f" and {len(lone) - SHOWN} more keys have" if len(lone) > SHOWN else " has"
            more = " have" if 1 < len(lone) <= SHOWN else more
            raise UserError(f"{file.url}: {shown}{more} no member that ends with .{side}.")


def _is(ending: str, wanted: str) -> bool:
    """Whether `source.png` is a `source`, or `jpg` a `jpg`."""
    ending, wanted = ending.lower(), wanted.lower().strip(".")
    return ending == wanted or ending.startswith(f"{wanted}.")
