"""Decoded pairs kept on disk between runs, so that many jobs decode a set once.

What is kept is found by a sum over the files that the pairs are made of (paths, sizes, times), the
dataset's parameters and provider, and the versions of what decodes: a change of any of them is
another key, and what is not used any more goes when room is needed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from p2ptk.contracts import Split
from p2ptk.errors import P2ptkError, UserError
from p2ptk.files import remove_folder, remove_strays, replacing
from p2ptk.pairs.decode import Progress, decode_each, decoded_bytes
from p2ptk.pairs.kept import (
    FORMAT,
    Damaged,
    lock_file,
    make_room,
    pairs_folder,
    read_entry,
    size_limit,
    write_index,
)
from p2ptk.pairs.order import blocks_of
from p2ptk.pairs.packed import Files, Packed, pack

WORTH = 1.0  # seconds of decoding below which a set is not kept
TRIED = 16  # pairs that are decoded to tell how long all take
WAIT = 600.0  # seconds to wait for another process that decodes the same
STRAY = 86400.0  # seconds after which unfinished files belong to nobody

log = logging.getLogger("p2ptk")


@dataclass(frozen=True)
class Cache:
    """Where the decoded pairs of one dataset are kept.

    what: everything but its files that decides what they decode to, as plain values.
    title: what the dataset is called, for people.
    """

    what: Mapping[str, Any]
    title: str

    def open(
        self, split: Split, workers: int | None = None, progress: Progress | None = None
    ) -> Packed | None:
        """The split's pairs, mapped from the cache; where they are not there they are decoded and
        kept, by one process, while others wait for it.

        None where the cache is of no use: the split does not tell its files, decodes in no time, is
        too large for the cache, or nothing can be written there. Raises UserError that lists the
        pairs that can't be used, and what `size_limit` raises.
        """
        key = self.key(split)
        if key is None:
            return None
        if kept := _read_or_remove(key, split):
            return kept
        if seconds_to_decode(split, workers) < WORTH:
            return None
        expected, limit = decoded_bytes(split), size_limit()
        if expected > limit:
            log.debug("%s: %d bytes are too much for a cache of %d", self.title, expected, limit)
            return None
        try:
            with _locked(key):
                if kept := _read_or_remove(key, split):
                    return kept
                remove_strays(pairs_folder(), STRAY)
                make_room(limit - expected)
                return self._make(key, split, workers, progress)
        except _NotKept as error:
            log.warning("decoded pairs are not kept: %s", error)
            return None

    def key(self, split: Split) -> str | None:
        """A sum over all that decides the decoded pairs; None where the split tells no files, and
        where it comes in blocks: such a set is not to be decoded as a whole.
        """
        files = getattr(split, "files", None)
        if files is None or not len(split) or blocks_of(split) is not None:
            return None
        import PIL
        import tifffile

        head = {
            "format": FORMAT,
            "byteorder": sys.byteorder,
            "pillow": PIL.__version__,
            "tifffile": tifffile.__version__,
            "names": list(getattr(split, "names", ())),
            **self.what,
        }
        digest = hashlib.sha256(json.dumps(head, sort_keys=True, default=str).encode())
        try:
            for file in files():
                path = Path(os.path.realpath(file))
                known = path.stat()
                digest.update(f"\n{path}\0{known.st_size}\0{known.st_mtime_ns}".encode())
        except OSError:
            return None
        return digest.hexdigest()[:20]

    def _make(
        self, key: str, split: Split, workers: int | None, progress: Progress | None
    ) -> Packed:
        """Decode into the cache. Raises _NotKept where it can't be written."""
        undecodable: UserError | None = None
        try:
            with replacing(pairs_folder() / key) as place:
                place.mkdir()
                try:
                    packed = pack(split, lambda i, d, _: Files(place, i, d), workers, progress)
                except UserError as error:
                    undecodable = error
                    raise
                write_index(place, packed, self.title)
                del packed  # Windows renames no folder with mapped files
            return _mapped(key, split, check=False)
        except (P2ptkError, OSError, Damaged) as error:
            if error is undecodable:
                raise
            raise _NotKept(str(error)) from error


class _NotKept(Exception):
    pass


def seconds_to_decode(split: Split, workers: int | None) -> float:
    """About how long decoding a split takes, judged by a few of its pairs."""
    tried = range(0, len(split), -(-len(split) // TRIED))
    began = time.perf_counter()
    with suppress(UserError):  # it is told with the others that don't decode
        for _ in decode_each(split, tried, workers):
            pass
    return (time.perf_counter() - began) / len(tried) * len(split)


def _mapped(key: str, split: Split, check: bool = True) -> Packed:
    """An entry whose copies in other processes map it anew. Raises as `read_entry` does."""
    packed = read_entry(key, check)
    packed.again = (_again, (key, split))
    return packed


def _again(key: str, split: Split) -> Split:
    """In a worker process: the same entry, or the files themselves where it was removed."""
    try:
        return _mapped(key, split, check=False)
    except (OSError, Damaged):
        return split


def _read_or_remove(key: str, split: Split) -> Packed | None:
    try:
        return _mapped(key, split)
    except OSError:
        return None
    except Damaged as error:
        folder = pairs_folder() / key
        log.warning("the cached pairs in %s are damaged (%s): decoding them anew", folder, error)
        remove_folder(folder)
        return None


@contextmanager
def _locked(key: str) -> Iterator[None]:
    """Hold an entry for this process.

    Raises _NotKept where the folder can't be written, or another process holds it for too long.
    """
    lock = FileLock(lock_file(key))
    try:
        pairs_folder().mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.warning("another process decodes these pairs: waiting for it")
            lock.acquire(timeout=WAIT, poll_interval=0.1)
    except Timeout:
        raise _NotKept(f"another process has been decoding them for {WAIT:.0f} s.") from None
    except NotImplementedError:
        pass  # a file system without locks: two may do the same work
    except OSError as error:
        raise _NotKept(f"{pairs_folder()}: {error.strerror or error}.") from None
    try:
        yield
    finally:
        lock.release()
