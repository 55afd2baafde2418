"""Parquet files with columns of pictures, read by row groups."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from p2ptk import Pair, UserError
from p2ptk_shards.decode import Decoder
from p2ptk_shards.kept import Kept
from p2ptk_shards.places import File, fetch, filesystem, is_local, labels, local_path, nearest

HELD = 256 * 2**20  # bytes of row groups that a process holds, one of them at the least
_BYTES = (pa.types.is_binary, pa.types.is_large_binary)


class Columns(NamedTuple):
    """Which columns hold A and B; `both` holds A and B side by side."""

    a: str
    b: str
    both: str | None

    @property
    def used(self) -> list[str]:
        return [self.both] if self.both else [self.a, self.b]


class Group(NamedTuple):
    """A row group: its file's number, and its number and first row in that file."""

    file: int
    number: int
    first: int


@dataclass(frozen=True)
class ParquetSource:
    """Reads pairs of row groups, and holds those that were used last.

    whole: where files of an object store are kept as they are, if anywhere.
    """

    files: Sequence[File]
    groups: Sequence[Group]
    lengths: Sequence[int]
    columns: Columns
    decoder: Decoder
    whole: Kept | None = None
    _held: _Held = field(default_factory=lambda: _Held(HELD), compare=False)

    @classmethod
    def open(
        cls, files: Sequence[File], columns: Columns, decoder: Decoder, whole: Kept | None
    ) -> ParquetSource:
        """Read the files' ends, which tell their columns and row groups. Raises UserError."""
        with ThreadPoolExecutor(16) as pool:
            lengths = list(pool.map(partial(_lengths, columns=columns), files))
        groups = [
            Group(f, number, first)
            for f, own in enumerate(lengths)
            for number, first in enumerate(itertools.accumulate([0, *own[:-1]]))
        ]
        flat = list(itertools.chain.from_iterable(lengths))
        some = [i for i, length in enumerate(flat) if length]  # row groups may be empty
        return cls(
            files, [groups[i] for i in some], [flat[i] for i in some], columns, decoder, whole
        )

    def name(self, block: int, row: int) -> str:
        group = self.groups[block]
        return f"{self._held.labels(self.files)[group.file]}/{group.first + row:06d}"

    def pair(self, block: int, row: int) -> Pair:
        table = self._held.get(block, partial(self._read, block))
        return self._decode(table, block, row)

    def pairs(self, block: int) -> Iterator[Pair]:
        table = self._read(block)
        return (self._decode(table, block, row) for row in range(len(table)))

    def key(self, block: int) -> str:
        group = self.groups[block]
        return self.decoder.key(self.files[group.file], group.number, self.columns)

    def _read(self, block: int) -> pa.Table:
        group = self.groups[block]
        file = self.files[group.file]
        url = file.url
        if self.whole and not is_local(url):
            name = f"{self.decoder.key(file)}.parquet"
            url = str(self.whole.file(name, partial(fetch, url)))
        with _opened(url) as opened:
            return opened.read_row_group(group.number, columns=self.columns.used)

    def _decode(self, table: pa.Table, block: int, row: int) -> Pair:
        group = self.groups[block]
        where = f"{self.files[group.file].url}: row {group.first + row}"
        return decode_row(
            [table[column][row].as_py() for column in self.columns.used],
            self.columns,
            self.decoder,
            self.name(block, row),
            where,
        )


def decode_row(
    cells: Sequence[Any], columns: Columns, decoder: Decoder, name: str, where: str
) -> Pair:
    """A pair from the cells of one row. Raises UserError that says where it is."""
    called, contents = [], []
    for column, cell in zip(columns.used, cells, strict=True):
        data = cell.get("bytes") if isinstance(cell, dict) else cell
        path = cell.get("path") if isinstance(cell, dict) else None
        ending = Path(path).suffix if path else ""
        called.append(f"{where}, column {column}{ending and f' ({path})'}")
        if data is None:
            about = f"only the path of a file, {path}" if path else "nothing"
            raise UserError(f"{called[-1]} holds {about}: its pictures are to be in it.")
        contents.append(data)
        called[-1] = _ending_told(called[-1], data)
    if columns.both:
        return decoder.both(contents[0], name, called[0])
    return decoder.two(contents[0], contents[1], name, called[0], called[1])


def need_columns(schema: pa.Schema, columns: Columns, where: str) -> None:
    """Raise UserError for a column that is not there, or holds no pictures."""
    for column in columns.used:
        if column not in schema.names:
            raise UserError(f"{where} has no column {column!r}: {nearest(column, schema.names)}")
        kind = schema.field(column).type
        inner = kind.field("bytes").type if _has_bytes(kind) else kind
        if not any(test(inner) for test in _BYTES):
            holding = [n for n in schema.names if _pictures(schema.field(n).type)]
            hint = f"columns that do are {', '.join(holding)}" if holding else "none of it does"
            raise UserError(f"{where}: the column {column!r} ({kind}) holds no pictures; {hint}.")


def _ending_told(called: str, data: bytes) -> str:
    """With an ending, where p2ptk's readers go by it: numpy's and TIFF's files."""
    ending = {b"\x93NUM": ".npy", b"II*\0": ".tif", b"MM\0*": ".tif", b"II+\0": ".tif"}
    told = ending.get(bytes(data[:4]), "")
    return called if called.endswith(told) else f"{called}{told}"


def _has_bytes(kind: pa.DataType) -> bool:
    return pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0


def _pictures(kind: pa.DataType) -> bool:
    return _has_bytes(kind) or any(test(kind) for test in _BYTES)


def _lengths(file: File, columns: Columns) -> list[int]:
    with _opened(file.url) as opened:
        need_columns(opened.schema_arrow, columns, file.url)
        about = opened.metadata
        return [about.row_group(i).num_rows for i in range(about.num_row_groups)]


class _opened:
    """A parquet file, on a disk or elsewhere; whatever goes wrong becomes one sentence."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __enter__(self) -> pq.ParquetFile:
        try:
            if is_local(self.url):
                self._file: Any = Path(local_path(self.url)).open("rb")
            else:
                fs, path = filesystem(self.url)
                self._file = fs.open(path, "rb")
            return pq.ParquetFile(self._file, pre_buffer=not is_local(self.url))
        except Exception as error:
            raise self._sentence(error) from error

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self._file.close()
        if isinstance(error, Exception) and not isinstance(error, UserError):
            raise self._sentence(error) from error

    def _sentence(self, error: Exception) -> UserError:
        if isinstance(error, UserError):
            return error
        if isinstance(error, FileNotFoundError):
            return UserError(f"there is no {self.url}.")
        words = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        if isinstance(error, pa.ArrowInvalid):
            words = f"it is damaged, or no parquet ({words})"
        return UserError(f"{self.url} can't be read: {words}.")


class _Held:
    """The row groups that were used last, in this process alone."""

    _labels: list[str] | None

    def __init__(self, most: int) -> None:
        self.most = most
        self._clear()

    def get(self, block: int, read: Any) -> pa.Table:
        with self._lock:
            lock = self._locks.setdefault(block, threading.Lock())
        with lock:
            with self._lock:
                if block in self._tables:
                    self._tables.move_to_end(block)
                    return self._tables[block]
            table = read()
            with self._lock:
                self._tables[block] = table
                self._locks.pop(block, None)
                while len(self._tables) > 1 and sum(t.nbytes for t in self._tables.values()) > (
                    self.most
                ):
                    self._tables.popitem(last=False)
            return table

    def labels(self, files: Sequence[File]) -> list[str]:
        if self._labels is None:
            self._labels = labels(files)
        return self._labels

    def _clear(self) -> None:
        self._lock = threading.Lock()
        self._locks: dict[int, threading.Lock] = {}
        self._tables: OrderedDict[int, pa.Table] = OrderedDict()
        self._labels = None

    def __getstate__(self) -> int:
        return self.most

    def __setstate__(self, most: int) -> None:
        self.most = most
        self._clear()
