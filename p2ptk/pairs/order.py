"""In which order training pairs come: a function of the seed and of the sample's number."""

from __future__ import annotations

import torch
from torch import Tensor

from p2ptk.randomness import seed_of


class Order:
    """An endless sequence of permutations, read at any place.

    Sample `number` is in epoch number // length, whose permutation comes from (seed, epoch).
    """

    def __init__(self, seed: int, length: int) -> None:
        if length < 1:
            raise ValueError("there is nothing to put in order")
        self.seed, self.length = seed, length
        self._epochs: dict[int, Tensor] = {}

    def __call__(self, number: int) -> int:
        """The index of the pair that is sample `number`, counted from 0."""
        epoch, place = divmod(number, self.length)
        if epoch not in self._epochs:
            # Batches straddle epochs, so two are kept.
            self._epochs = {k: v for k, v in self._epochs.items() if abs(k - epoch) == 1}
            rng = torch.Generator().manual_seed(seed_of("order", self.seed, epoch))
            self._epochs[epoch] = torch.randperm(self.length, generator=rng)
        return int(self._epochs[epoch][place])
