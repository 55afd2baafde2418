"""What both datasets have in common: their sides, splits, and the folder for what is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from p2ptk import Side, UserError, make_side
from p2ptk_shards.blocks import BlockSplit
from p2ptk_shards.decode import Decoder
from p2ptk_shards.kept import Kept
from p2ptk_shards.places import nearest

Kind = Literal["image", "labels", "values"]
Range = tuple[float, float]
Keep = Literal["pixels", "files"]


class Splits:
    """A dataset of p2ptk whose splits are made already."""

    def __init__(self, where: str, splits: Mapping[str, BlockSplit], decoder: Decoder) -> None:
        self.where, self._splits = where, splits
        self.a, self.b = decoder.a, decoder.b

    def splits(self) -> tuple[str, ...]:
        return tuple(self._splits)

    def split(self, name: str) -> BlockSplit:
        """Raises UserError naming the splits that exist."""
        if name not in self._splits:
            raise UserError(f"{self.where} has no split {name!r}: {nearest(name, self._splits)}")
        return self._splits[name]


def make_decoder(
    a: tuple[Kind, Range | None, int | None, Sequence[str] | None],
    b: tuple[Kind, Range | None, int | None, Sequence[str] | None],
) -> Decoder:
    """From the parameters of both sides: kind, range, classes, palette. Raises UserError."""
    sides: list[Side] = [make_side(which, *told) for which, told in (("a", a), ("b", b))]
    return Decoder(*sides)


def make_kept(cache: Path | None, cache_gb: float) -> Kept | None:
    return Kept(cache / "shards", round(cache_gb * 1e9)) if cache else None


def need_floats_told(first: BlockSplit, sides: Decoder) -> None:
    """Raise UserError where float data have no range, from the first pair."""
    pair = first.source.pair(0, 0)
    for own, picture, side in (("a", pair.source, sides.a), ("b", pair.target, sides.b)):
        if picture.is_floating_point() and side.range is None and side.kind != "labels":
            low, high = float(picture.min()), float(picture.max())
            raise UserError(
                f"the pair {pair.name!r} holds float data, so say which values are the ends of the "
                f"range: {own}_range=[low,high] (this picture goes from {low:g} to {high:g})."
            )
