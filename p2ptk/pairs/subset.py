"""A part of a split, as the validation pairs that are drawn where a dataset has none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from p2ptk.contracts import Pair, Split
from p2ptk.pairs.order import Blocks, blocks_of
from p2ptk.randomness import seed_of

FRACTION = 0.1  # of the training pairs
ENOUGH = 10  # blocks of a split, from which on whole ones are set aside


def drawn(names: Sequence[str], fraction: float = FRACTION, seed: int = 0) -> set[int]:
    """Which of two names or more are set aside: at least one, and never all.

    Those with the smallest hash of (seed, name): the choice depends on the names alone, and few
    change sides when pairs are added.
    """
    count = min(max(1, round(len(names) * fraction)), len(names) - 1)
    return set(_ranked("val", seed, names)[:count])


def _ranked(purpose: str, seed: int, names: Sequence[str]) -> list[int]:
    return sorted(range(len(names)), key=lambda i: seed_of(purpose, seed, names[i]))


@dataclass(frozen=True)
class Subset:
    """Some pairs of a split, in its order. indices: ascending; an array where there are many."""

    split: Split
    indices: Sequence[int]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Pair:
        return self.split[int(self.indices[index])]

    def __getattr__(self, name: str) -> Any:
        # A split's optional members are optional here, too. Underscores: while it is unpickled,
        # there is no `split` to ask yet.
        if name.startswith("_") or name not in ("names", "sizes", "blocks"):
            raise AttributeError(name)
        found = getattr(self.split, name)
        if name == "blocks":
            return self._blocks
        if name == "sizes":
            return lambda: tuple(found()[i] for i in self.indices)
        if isinstance(found, tuple | list):
            return tuple(found[i] for i in self.indices)
        return _Names(found, self.indices)  # a split of many pairs does not hold all their names

    def _blocks(self) -> Blocks | None:
        whole = blocks_of(self.split)
        if whole is None:
            return None
        ends = np.searchsorted(np.asarray(self.indices), np.cumsum(whole.lengths))
        return Blocks([int(n) for n in np.diff(ends, prepend=0) if n], whole.window)


@dataclass(frozen=True)
class _Names(Sequence[str]):
    """The names of some pairs, looked up when asked for."""

    names: Sequence[str]
    indices: Sequence[int]

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...

    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return _Names(self.names, self.indices[index])
        return self.names[int(self.indices[index])]


def names_of(split: Split) -> Sequence[str]:
    """The names of a split's pairs, by their numbers where it does not tell them undecoded."""
    names: Sequence[str] | None = getattr(split, "names", None)
    return names if names is not None else [str(i) for i in range(len(split))]


def without_val(split: Split) -> tuple[Split, Split]:
    """A training split of two pairs or more as (train, val).

    Of a split with many blocks whole ones are set aside, by the name of their first pair: neither
    part then needs what the other one reads.
    """
    blocks = blocks_of(split)
    if blocks and len(blocks.lengths) >= ENOUGH:
        lengths, names = np.array(blocks.lengths), names_of(split)
        firsts = np.cumsum(lengths) - lengths
        aside = drawn([names[int(first)] for first in firsts])
        in_val = np.repeat([i in aside for i in range(len(lengths))], lengths)
        return Subset(split, np.flatnonzero(~in_val)), Subset(split, np.flatnonzero(in_val))  # type: ignore[arg-type]
    chosen = drawn(names_of(split))
    kept = tuple(i for i in range(len(split)) if i not in chosen)
    return Subset(split, kept), Subset(split, tuple(sorted(chosen)))


def share_of(split: Split, share: float) -> Split:
    """A part of a split, at least one pair, in its order: the same for every seed of a run, and a
    smaller share is part of a larger one.
    """
    if share >= 1:
        return split
    count = max(1, round(len(split) * share))
    chosen = _ranked("share", 0, names_of(split))[:count]
    return Subset(split, tuple(sorted(chosen)))
