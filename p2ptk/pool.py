"""A history of translations for the discriminator."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from p2ptk.randomness import seed_of


class Pool:
    """Shows the discriminator earlier translations too (Shrivastava et al. 2017, section 2.3).

    The rule is the PyTorch port's, image by image: while the pool fills, a translation is kept and
    shown; later, half of them are shown as they are, and the others each take the place of an
    earlier one, which is shown instead. A translation is kept with the source it was made from, so
    that a conditional discriminator judges true pairs.

    What is shown is a function of the seeds and the translations given so far. `tensors` and
    `restore` carry the pool over a stop.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.pairs: list[tuple[Tensor, Tensor]] = []  # source and fake, C H W

    def exchange(self, source: Tensor, fake: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """N C H W of the newest translations and their sources -> as many to be judged.

        fake: without a graph.
        """
        rng = torch.Generator().manual_seed(seed_of("pool", seed))
        draws = torch.rand(len(fake), 2, generator=rng).tolist()
        shown = []
        for number, (chance, place) in enumerate(draws):
            pair = _kept(source[number]), _kept(fake[number])
            if len(self.pairs) < self.size:
                self.pairs.append(pair)
            elif chance < 0.5:
                slot = int(place * self.size)
                pair, self.pairs[slot] = self.pairs[slot], pair
            shown.append(pair)
        return torch.stack([s for s, _ in shown]), torch.stack([f for _, f in shown])

    def tensors(self) -> dict[str, Tensor]:
        """What it holds, for a checkpoint: `source` and `fake`, a row a pair; nothing if empty."""
        if not self.pairs:
            return {}
        sources, fakes = zip(*self.pairs, strict=True)
        return {"source": torch.stack(sources), "fake": torch.stack(fakes)}

    def restore(self, tensors: Mapping[str, Tensor], device: torch.device) -> None:
        """Hold what `tensors` gave, on a device."""
        columns = (tensors[name].to(device) for name in ("source", "fake") if tensors)
        self.pairs = list(zip(*columns, strict=True))


def _kept(x: Tensor) -> Tensor:
    """A copy in the plain memory format, so that it is the same before and after a stop."""
    return x.clone(memory_format=torch.contiguous_format)
