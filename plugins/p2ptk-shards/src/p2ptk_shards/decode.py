"""From the bytes of picture files to a pair, by p2ptk's own readers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import metadata

from torch import Tensor

from p2ptk import Pair, Side, UserError, read_picture
from p2ptk_shards.blocks import halves


@dataclass(frozen=True)
class Decoder:
    """Makes pairs whose sides are as `a` and `b` say."""

    a: Side
    b: Side

    def two(self, a: bytes, b: bytes, name: str, a_called: str, b_called: str) -> Pair:
        """A pair of two pictures; messages call them as given. Raises UserError."""
        pair = Pair(read_picture(a, self.a, a_called), read_picture(b, self.b, b_called), name)
        if pair.source.shape[1:] != pair.target.shape[1:]:
            sizes = [f"{side.shape[2]}x{side.shape[1]}" for side in pair[:2]]
            raise UserError(f"{a_called} is {sizes[0]}, but {b_called} is {sizes[1]}.")
        return pair

    def both(self, data: bytes, name: str, called: str) -> Pair:
        """A pair of one picture that holds A and B side by side. Raises UserError."""
        left, right = self._halves(data, self.a, called)
        if self.a != self.b:
            right = self._halves(data, self.b, called)[1]
        return Pair(left, right, name)

    def key(self, *words: object) -> str:
        """A file name for what decodes to the same: these words, sides, and decoders."""
        said = repr((words, self.a, self.b, _versions()))
        return hashlib.sha256(said.encode()).hexdigest()[:24]

    def _halves(self, data: bytes, side: Side, called: str) -> tuple[Tensor, Tensor]:
        picture = read_picture(data, side, called)
        found = halves(picture)
        if found is None:
            raise UserError(f"{called}: its width {picture.shape[-1]} is odd, so it has no halves.")
        return found


@cache
def _versions() -> tuple[str, ...]:
    return tuple(metadata.version(name) for name in ("p2ptk-shards", "pillow", "tifffile"))
