"""In which order training pairs come: a function of the seed and of the sample's number."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from p2ptk.contracts import Split
from p2ptk.randomness import seed_of


class Blocks(NamedTuple):
    """How many consecutive pairs each block of a split has, and how many blocks to mix."""

    lengths: Sequence[int]
    window: int


def blocks_of(split: Split) -> Blocks | None:
    """What a split's `blocks` tells; None where its pairs may come in any order."""
    told = getattr(split, "blocks", None)
    found = told() if told else None
    return Blocks(*found) if found else None


class Order:
    """An endless sequence of permutations, read at any place.

    Sample `number` is in epoch number // length, whose permutation comes from (seed, epoch).
    blocks: draw the order of the blocks, then move each pair back by up to as many places as
        `window` blocks have pairs: about so many blocks are in use at a time, and each is needed
        once an epoch. None, or a window that holds all blocks, draws from all permutations.
    """

    def __init__(self, seed: int, length: int, blocks: Blocks | None = None) -> None:
        if length < 1:
            raise ValueError("there is nothing to put in order")
        if blocks and sum(blocks.lengths) != length:
            raise ValueError(f"blocks of {sum(blocks.lengths)} pairs in a split of {length}")
        self.seed, self.length = seed, length
        self.blocks = blocks if blocks and blocks.window < len(blocks.lengths) else None
        self._epochs: dict[int, Tensor] = {}

    @classmethod
    def of(cls, seed: int, split: Split) -> Order:
        """The order of a split's pairs."""
        return cls(seed, len(split), blocks_of(split))

    def __call__(self, number: int) -> int:
        """The index of the pair that is sample `number`, counted from 0."""
        epoch, place = divmod(number, self.length)
        if epoch not in self._epochs:
            # Batches straddle epochs, so two are kept.
            self._epochs = {k: v for k, v in self._epochs.items() if abs(k - epoch) == 1}
            rng = torch.Generator().manual_seed(seed_of("order", self.seed, epoch))
            self._epochs[epoch] = self._permutation(rng)
        return int(self._epochs[epoch][place])

    def _permutation(self, rng: torch.Generator) -> Tensor:
        if self.blocks is None:
            return torch.randperm(self.length, generator=rng)
        lengths = torch.tensor(self.blocks.lengths)
        drawn = torch.randperm(len(lengths), generator=rng)
        ends = torch.tensor(list(itertools.accumulate(self.blocks.lengths)))
        # Where a pair's index differs from its place once the blocks stand in their new order.
        moved = (ends - lengths)[drawn] - (lengths[drawn].cumsum(0) - lengths[drawn])
        places = torch.arange(self.length)
        indices = places + moved.repeat_interleave(lengths[drawn])
        reach = max(1, round(self.blocks.window * self.length / len(lengths)))
        back = torch.randint(reach, (self.length,), generator=rng)
        return indices[(places + back).argsort(stable=True)]
