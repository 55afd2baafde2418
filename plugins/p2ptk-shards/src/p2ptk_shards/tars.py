"""Pairs in tar shards, as the webdataset library writes them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated

from pydantic import Field

from p2ptk import Pair, UserError
from p2ptk_shards.blocks import BlockSplit
from p2ptk_shards.common import Keep, Kind, Range, Splits, make_decoder, make_kept, need_floats_told
from p2ptk_shards.decode import Decoder
from p2ptk_shards.index import Index, Row, Wanted, index_place
from p2ptk_shards.kept import Kept
from p2ptk_shards.places import File, fetch, find_splits, is_local, read_range


class WebDataset(Splits):
    """Pairs in tar shards, in the naming of the webdataset library: the key of a member is all
    before the first dot of its name, and the members of a key are one sample.

    The headers of all shards are read once, to an index that later runs find. Training shuffles
    shards, and pairs among `window` of them. Shards may lie in an object store (`s3://`, `gs://`,
    `https://`, whatever fsspec knows and has its package for).

    path: a folder of .tar files, where a name says its split (`train-000000.tar`, `val/0.tar`,
        others are for training); or the training shards: `pairs-{000000..000127}.tar`, with `*`,
        or several joined by `::`.
    val, test: shards of those splits, where `path` does not say. Without val a tenth of train is
        set aside, whole shards where there are many.
    a, b: endings of the two sides: `source` is KEY.source.png or KEY.source.jpg, `png` KEY.png.
    both: ending of pictures that hold A | B side by side, in place of a and b: `both=jpg`.
    cache: a folder to keep shards in that were used once; without it they are read by parts.
    keep: `pixels` keeps the decoded pairs, so that nothing is decoded twice; `files` keeps shards
        of object stores as they are, which takes a tenth of the room.
    cache_gb: the most that the folder may take; what was not used for longest goes.
    window: shards whose pairs are mixed at a time; 0 mixes all pairs with all.
    a_kind, b_kind: `image`, `labels` (a class a pixel) or `values` (measurements).
    a_range, b_range: values that become -1 and 1; the dtype's own range if none. Float needs one.
    a_classes, b_classes: number of classes of labels that are stored as numbers.
    a_palette, b_palette: colours of the classes, as #rrggbb, of labels that are stored as colours.

    Raises UserError for shards that are missing or cut off, and keys that lack a side.
    """

    def __init__(
        self,
        *,
        path: str,
        val: str | None = None,
        test: str | None = None,
        a: str = "source",
        b: str = "target",
        both: str | None = None,
        cache: Path | None = None,
        keep: Keep = "pixels",
        cache_gb: Annotated[float, Field(gt=0)] = 100.0,
        window: Annotated[int, Field(ge=0)] = 8,
        a_kind: Kind = "image",
        b_kind: Kind = "image",
        a_range: Range | None = None,
        b_range: Range | None = None,
        a_classes: Annotated[int, Field(gt=1)] | None = None,
        b_classes: Annotated[int, Field(gt=1)] | None = None,
        a_palette: list[str] | None = None,
        b_palette: list[str] | None = None,
    ) -> None:
        decoder = make_decoder(
            (a_kind, a_range, a_classes, a_palette), (b_kind, b_range, b_classes, b_palette)
        )
        if both is None and a.strip(".").lower() == b.strip(".").lower():
            raise UserError(f"a and b are both {a!r}: pictures side by side are both={a}.")
        kept, place = make_kept(cache, cache_gb), index_place(cache)
        splits = {}
        for name, files in find_splits(path, {"val": val, "test": test}, ".tar").items():
            index = Index.of(files, Wanted(a, b, both), place)
            source = TarSource(files, index, decoder, kept if keep == "files" else None, kept)
            splits[name] = BlockSplit(source, window, kept if keep == "pixels" else None)
        need_floats_told(next(iter(splits.values())), decoder)
        super().__init__(path, splits, decoder)


@dataclass(frozen=True)
class TarSource:
    """Reads pairs of shards by their index.

    whole: where shards of an object store are kept as they are, if anywhere.
    near: where one is put while all of it is decoded.
    """

    files: Sequence[File]
    index: Index
    decoder: Decoder
    whole: Kept | None = None
    near: Kept | None = None

    @property
    def lengths(self) -> Sequence[int]:
        return self.index.lengths

    def name(self, block: int, row: int) -> str:
        key, labels = self.index.key(self._starts[block] + row), self.index.about["labels"]
        return f"{labels[block]}/{key}" if labels else key

    def pair(self, block: int, row: int) -> Pair:
        file = self.files[block]
        if self.whole and not is_local(file.url):
            path = self.whole.file(f"{self.key(block)}.tar", partial(fetch, file.url))
            return self._read(str(path), block, row)
        return self._read(file.url, block, row)

    def pairs(self, block: int) -> Iterator[Pair]:
        url, rows = self.files[block].url, range(self.lengths[block])
        if is_local(url) or self.near is None:
            yield from (self._read(url, block, row) for row in rows)
            return
        with self.near.passing(partial(fetch, url)) as path:
            yield from (self._read(str(path), block, row) for row in rows)

    def key(self, block: int) -> str:
        if block not in self._keys:
            start = self._starts[block]
            first, last = (self.index.row(start + i) for i in (0, self.lengths[block] - 1))
            self._keys[block] = self.decoder.key(self.files[block], first, last)
        return self._keys[block]

    def _read(self, url: str, block: int, row: int) -> Pair:
        number = self._starts[block] + row
        found, key, shard = self.index.row(number), self.index.key(number), self.files[block].url
        a, b = _contents(url, found)
        name, called = self.name(block, row), f"{shard}: {key}.{found.a_ending}"
        if found.a == found.b:
            return self.decoder.both(a, name, called)
        return self.decoder.two(a, b, name, called, f"{shard}: {key}.{found.b_ending}")

    @cached_property
    def _keys(self) -> dict[int, str]:
        return {}

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *itertools.accumulate(self.lengths)]


def _contents(url: str, row: Row) -> tuple[bytes, bytes]:
    """The bytes of both members, in one request where they lie side by side."""
    if row.a == row.b:
        return (read_range(url, row.a, row.a + row.a_size),) * 2
    start, end = min(row.a, row.b), max(row.a + row.a_size, row.b + row.b_size)
    if end - start > 2 * (row.a_size + row.b_size) + 2**16:
        return tuple(  # type: ignore[return-value]
            read_range(url, at, at + n) for at, n in ((row.a, row.a_size), (row.b, row.b_size))
        )
    data = read_range(url, start, end)
    return tuple(  # type: ignore[return-value]
        data[at - start : at - start + n] for at, n in ((row.a, row.a_size), (row.b, row.b_size))
    )
