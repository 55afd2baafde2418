"""Any size for a network that wants multiples: reflection at the border, and feathered tiles."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


def round_up(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple


def reflected(length: int, padded: int) -> Tensor:
    """Indices that continue 0 .. length-1 by reflection, back and forth, to `padded` of them.

    >>> reflected(3, 8).tolist()
    [0, 1, 2, 1, 0, 1, 2, 1]
    """
    period = max(2 * (length - 1), 1)
    index = torch.arange(padded) % period
    return torch.where(index < length, index, period - index)


def pad(x: Tensor, multiple: tuple[int, int]) -> Tensor:
    """... H W, continued by reflection at the bottom and right to multiples of `multiple`."""
    for dim, factor in zip((-2, -1), multiple, strict=True):
        length = x.shape[dim]
        padded = round_up(length, factor)
        if padded != length:
            x = x.index_select(dim, reflected(length, padded).to(x.device))
    return x


@dataclass(frozen=True)
class Axis:
    """How one side of a picture is cut: tiles of `tile` pixels at `starts`, over `length` pixels.

    `length` is the picture's own; what the last tile needs beyond it is reflected.
    """

    length: int
    tile: int
    starts: tuple[int, ...]
    overlap: int

    @classmethod
    def cut(cls, length: int, tile: int, overlap: int, multiple: int) -> Axis:
        """Tiles of a multiple of `multiple`, about `tile` long, evenly spread.

        They start at multiples of its largest divisor that the overlap allows, so that strided
        layers down to that stride see every pixel of the picture in the same phase.
        """
        tile = max(tile // multiple, 1) * multiple
        if length <= tile:
            return cls(length, min(tile, round_up(length, multiple)), (0,), 0)
        overlap = min(overlap, tile // 2)
        step = max(d for d in range(1, multiple + 1) if multiple % d == 0 and d <= (overlap or d))
        places = (round_up(length, step) - tile) // step  # steps from the first tile to the last
        count = math.ceil(places / ((tile - overlap) // step))
        starts = tuple(i * places // count * step for i in range(count + 1))
        return cls(length, tile, starts, overlap)

    @property
    def indices(self) -> Tensor:
        """Indices into the picture for every position that a tile may cover."""
        return reflected(self.length, self.starts[-1] + self.tile)

    def weights(self) -> list[Tensor]:
        """For each tile its weight a pixel: raised cosines over the overlaps, 1 in sum anywhere."""
        total = torch.zeros(self.starts[-1] + self.tile)
        ramp = 0.5 - 0.5 * torch.cos(math.pi * (torch.arange(self.overlap) + 0.5) / self.overlap)
        windows = []
        for number, start in enumerate(self.starts):
            window = torch.ones(self.tile)
            if number > 0:
                window[: self.overlap] = ramp
            if number < len(self.starts) - 1:
                window[self.tile - self.overlap :] *= ramp.flip(0)
            total[start : start + self.tile] += window
            windows.append(window)
        return [
            window / total[start : start + self.tile]
            for window, start in zip(windows, self.starts, strict=True)
        ]


def spread(rows: Axis, columns: Axis, most: int) -> list[tuple[int, int]]:
    """Starts (y, x) of at most `most` tiles, evenly over both sides of the picture."""
    down = min(len(rows.starts), math.isqrt(most))
    across = min(len(columns.starts), most // down)
    down = min(len(rows.starts), most // across)
    return [(y, x) for y in _evenly(rows.starts, down) for x in _evenly(columns.starts, across)]


def _evenly(starts: tuple[int, ...], count: int) -> list[int]:
    if count == 1:
        return [starts[len(starts) // 2]]
    return [starts[round(i * (len(starts) - 1) / (count - 1))] for i in range(count)]


def feathered(
    rows: Axis,
    columns: Axis,
    translate: Callable[[list[tuple[int, int]]], Tensor],
    batch: int,
) -> Iterator[Tensor]:
    """Blend translated tiles; gives strips C h W from top to bottom as soon as each is final.

    translate: from at most `batch` starts (y, x) to the translated tiles N C tile tile.
    Memory holds one row of tiles, not the picture.
    """
    width = columns.starts[-1] + columns.tile
    strip: Tensor | None = None
    places = list(zip(columns.starts, columns.weights(), strict=True))
    for number, (y, down) in enumerate(zip(rows.starts, rows.weights(), strict=True)):
        for first in range(0, len(places), batch):
            some = places[first : first + batch]
            tiles = translate([(y, x) for x, _ in some]).float().cpu()
            if strip is None:
                strip = tiles.new_zeros(tiles.shape[1], rows.tile, width)
            for tile, (x, across) in zip(tiles, some, strict=True):
                strip[:, :, x : x + columns.tile] += tile * (down[:, None] * across)
        assert strip is not None
        # What lies above the next row of tiles will not change any more.
        below = rows.starts[number + 1] if number + 1 < len(rows.starts) else rows.length
        final = below - y
        yield strip[:, :final, : columns.length].clone()
        strip = torch.cat([strip[:, final:], strip.new_zeros(len(strip), final, width)], 1)
