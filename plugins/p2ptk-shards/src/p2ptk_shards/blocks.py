"""A split that lies in blocks (shards, row groups), and pairs that are decoded once."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol, overload

import numpy as np
import torch
from torch import Tensor

from p2ptk import Pair
from p2ptk_shards.kept import Kept

TRIES = 5  # to read a kept block that others remove for room
_DTYPES = (torch.uint8, torch.uint16, torch.int32, torch.float32)
_ROW = np.dtype([("at", "<i8"), ("shapes", "<i4", (2, 3)), ("dtypes", "u1", 2)])


class Source(Protocol):
    """Where pairs come from."""

    @property
    def lengths(self) -> Sequence[int]:
        """How many pairs each block has."""

    def name(self, block: int, row: int) -> str: ...

    def pair(self, block: int, row: int) -> Pair:
        """Read and decode one pair. Raises UserError."""

    def pairs(self, block: int) -> Iterator[Pair]:
        """Read a block at once, and decode its pairs in their order. Raises UserError."""

    def key(self, block: int) -> str:
        """A file name for all that decides what the block decodes to."""


@dataclass(frozen=True)
class BlockSplit:
    """A split of p2ptk: decodes when indexed, travels to worker processes.

    window: how many blocks training mixes at a time; 0 mixes all pairs with all.
    kept: where the pixels of blocks are kept once they are decoded, if anywhere.
    """

    source: Source
    window: int
    kept: Kept | None = None

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: int) -> Pair:
        block, row = self.place(index)
        return self._pixels(block, row) if self.kept else self.source.pair(block, row)

    def blocks(self) -> tuple[Sequence[int], int] | None:
        """Pairs of each block, and how many blocks to mix."""
        return (self.source.lengths, self.window) if self.window else None

    @property
    def names(self) -> Sequence[str]:
        """The pairs' names, looked up when asked for."""
        return Names(self)

    def place(self, index: int) -> tuple[int, int]:
        """The block of a pair, and its row there. Raises IndexError beyond the end."""
        if index < 0:
            index += len(self)
        if not 0 <= index < len(self):
            raise IndexError(index)
        block = bisect.bisect_right(self._ends, index)
        return block, index - (self._ends[block - 1] if block else 0)

    @cached_property
    def _ends(self) -> list[int]:
        return list(itertools.accumulate(self.source.lengths))

    def _pixels(self, block: int, row: int) -> Pair:
        """A pair from the kept block, which is decoded as a whole where it is not there."""
        assert self.kept is not None
        name = f"{self.source.key(block)}.pixels"
        for attempt in range(TRIES):
            path = self.kept.file(name, partial(write_block, self.source, block))
            try:
                return read_pair(path, row, self.source.name(block, row))
            except FileNotFoundError:
                if attempt == TRIES - 1:
                    break
        return self.source.pair(block, row)  # the folder has room for less than is in use


@dataclass(frozen=True)
class Names(Sequence[str]):
    """The names of a split's pairs, without a list of them."""

    split: BlockSplit

    def __len__(self) -> int:
        return len(self.split)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...

    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self.split.source.name(*self.split.place(index))


def write_block(source: Source, block: int, path: Path) -> None:
    """Decode a block to a file: a table of rows, then the pixels of A and B, one by the other."""
    rows = np.zeros(source.lengths[block], _ROW)
    with path.open("xb") as file:
        file.write(rows.tobytes())
        for row, pair in zip(rows, source.pairs(block), strict=True):
            sides = pair.source, pair.target
            row["at"] = file.tell()
            row["shapes"] = [side.shape for side in sides]
            row["dtypes"] = [_DTYPES.index(side.dtype) for side in sides]
            for side in sides:
                file.write(side.contiguous().view(torch.uint8).numpy().data)
        file.seek(0)
        file.write(rows.tobytes())


def read_pair(path: Path, row: int, name: str) -> Pair:
    """A pair of a file that `write_block` wrote. Raises FileNotFoundError where it is gone."""
    with path.open("rb", buffering=0) as file:
        file.seek(row * _ROW.itemsize)
        head: Any = np.frombuffer(file.read(_ROW.itemsize), _ROW)[0]
        file.seek(int(head["at"]))
        sides = []
        for shape, number in zip(head["shapes"], head["dtypes"], strict=True):
            side = torch.empty([int(n) for n in shape], dtype=_DTYPES[number])
            file.readinto(side.view(torch.uint8).numpy().data)
            sides.append(side)
    return Pair(sides[0], sides[1], name)


def halves(picture: Tensor) -> tuple[Tensor, Tensor] | None:
    """The left and the right half of C H W; None where the width is odd."""
    half, odd = divmod(picture.shape[-1], 2)
    return None if odd else (picture[..., :half].contiguous(), picture[..., half:].contiguous())
