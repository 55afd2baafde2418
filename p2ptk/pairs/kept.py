"""The folder of decoded pairs on disk: what lies in it, what is whole, what must go.

`CACHE/pairs/KEY/` holds one split: raw numbers, one file a side and dtype, which all processes of a
machine map into memory and so share; `pairs.json` with names and shapes; `index.json` with sizes
and sums of the others.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from p2ptk.errors import UserError
from p2ptk.files import remove_folder, remove_strays
from p2ptk.pairs.packed import Packed, file_name, map_file
from p2ptk.pairs.store import Store, laid_out

FORMAT = 1  # of the files, and of what decoding gives
LARGEST = 20 * 10**9  # bytes, where P2PTK_CACHE_SIZE does not say
FREE_SHARE = 0.25  # of the free disk that the cache takes at the most, where it does not say


class Damaged(Exception):
    """What is in the cache is not what was put there; the message says in what way."""


@dataclass(frozen=True)
class Entry:
    """One kept split. used: when it was last read, in seconds since 1970."""

    key: str
    path: Path
    title: str
    pairs: int
    nbytes: int
    used: float


def cache_folder() -> Path:
    """`P2PTK_CACHE`, else the place where the system wants caches."""
    import platformdirs

    named = os.environ.get("P2PTK_CACHE")
    return Path(named or platformdirs.user_cache_dir("p2ptk")).expanduser().absolute()


def pairs_folder() -> Path:
    return cache_folder() / "pairs"


def size_limit() -> int:
    """The most bytes that the cache may take: `P2PTK_CACHE_SIZE` (as `20GB`), else 20 GB or a
    quarter of the free disk, whichever is less. Raises UserError for a size that can't be read.
    """
    if named := os.environ.get("P2PTK_CACHE_SIZE"):
        return read_size(named)
    place = pairs_folder()
    while not place.exists() and place != place.parent:
        place = place.parent
    taken = sum(entry.nbytes for entry in entries())
    return min(LARGEST, int((shutil.disk_usage(place).free + taken) * FREE_SHARE))


def read_size(text: str) -> int:
    """`20GB`, `500 MB`, `1.5TB`, `1000000`, in bytes (powers of ten).

    >>> read_size("1.5GB")
    1500000000

    Raises UserError for anything else.
    """
    word = text.strip().upper().removesuffix("B")
    factor = {"K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}.get(word[-1:], 1)
    try:
        size = float(word[:-1] if factor > 1 else word) * factor
        if not 0 <= size < 2**63:
            raise ValueError
    except ValueError:
        raise UserError(f"P2PTK_CACHE_SIZE={text!r} is no size: write 500MB or 20GB.") from None
    return int(size)


def entries() -> list[Entry]:
    """What is kept, the one used last first."""
    found = []
    for index in pairs_folder().glob("*/index.json"):
        with suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
            about, path = json.loads(index.read_text("utf-8")), index.parent
            size = sum(int(file["bytes"]) for file in about["files"].values())
            used = index.stat().st_mtime
            found.append(Entry(path.name, path, about["title"], about["pairs"], size, used))
    return sorted(found, key=lambda entry: -entry.used)


def remove(key: str) -> None:
    """Delete an entry and its lock. A process that has it mapped keeps what it has."""
    remove_folder(pairs_folder() / key)
    with suppress(OSError):
        lock_file(key).unlink()


def remove_all() -> None:
    """Delete all entries, whole or not, and what killed processes left."""
    for path in pairs_folder().glob("*"):
        if re.fullmatch(r"[0-9a-f]{20}", path.name):  # whatever else is there is not ours
            remove(path.name)
    remove_strays(pairs_folder())


def make_room(most: int) -> None:
    """Delete what was not used for longest, until the rest takes no more than `most` bytes."""
    kept = entries()
    while kept and sum(entry.nbytes for entry in kept) > most:
        remove(kept.pop().key)


def lock_file(key: str) -> Path:
    return pairs_folder() / f".{key}.lock"


def write_index(place: Path, packed: Packed, title: str) -> None:
    columns = [
        [[str(dtype).removeprefix("torch."), *shape] for dtype, _, shape in column.places]
        for column in packed.columns[int(packed.single) :]
    ]
    about = {
        "names": packed.names,
        "keys": packed.keys,
        "single": packed.single,
        "columns": columns,
    }
    (place / "pairs.json").write_text(json.dumps(about), "utf-8")
    files = {
        path.name: {"bytes": path.stat().st_size, "sum": content_sum(path)}
        for path in sorted(place.iterdir())
    }
    index = {"format": FORMAT, "title": title, "pairs": len(packed), "files": files}
    (place / "index.json").write_text(json.dumps(index, indent=1), "utf-8")


def read_entry(key: str, check: bool = True) -> Packed:
    """Map an entry. Raises OSError where there is none, Damaged where it is not whole.

    check: read all of it, and compare its sums.
    """
    folder = pairs_folder() / key
    content = (folder / "index.json").read_bytes()
    try:
        files = json.loads(content)["files"]
        for name, known in files.items():
            if (folder / name).stat().st_size != known["bytes"]:
                raise Damaged(f"{name} has another size")
            if check and content_sum(folder / name) != known["sum"]:
                raise Damaged(f"{name} has another content")
        about = json.loads((folder / "pairs.json").read_text("utf-8"))
        columns = []
        for i, kinds in enumerate(about["columns"]):
            places, lengths = laid_out(
                (getattr(torch, dtype), torch.Size(shape)) for dtype, *shape in kinds
            )
            mapped = {dtype: map_file(folder / file_name(i, dtype), dtype) for dtype in lengths}
            columns.append(Store(mapped, places))
        packed = Packed(about["names"], about["keys"], columns[:1] * about["single"] + columns)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        raise Damaged(f"{type(error).__name__}: {error}") from error
    with suppress(OSError):
        os.utime(folder / "index.json")
    return packed


def content_sum(path: Path) -> str:
    """A sum over a file that is as fast as memory: of blocks' sums as 64-bit numbers.

    It finds damage, not forgery: p2ptk trusts the user's own cache folder.
    """
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    if whole := size // 8 * 8:
        words = map_file(path, torch.uint8)[:whole].view(torch.int64)
        for part in words.split(2**23):
            even = len(part) // 2**13 * 2**13
            digest.update(part[:even].view(-1, 2**13).sum(1).numpy().tobytes())
            digest.update(part[even:].sum().numpy().tobytes())
    with path.open("rb") as file:
        file.seek(whole)
        digest.update(file.read())
    return digest.hexdigest()
