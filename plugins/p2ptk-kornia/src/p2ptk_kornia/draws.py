"""Random numbers of samples: each sample draws from its own generator."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

RngOf = Callable[[int], torch.Generator]
Draw = Callable[[torch.Generator], dict[str, Tensor]]


def drawn(numbers: Sequence[int], rng: RngOf, draw: Draw) -> dict[str, Tensor]:
    """What `draw` gives for each sample's generator, stacked: first dimension len(numbers)."""
    rows = [draw(rng(number)) for number in numbers]
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}


def uniform(generator: torch.Generator, low: float, high: float, *shape: int) -> Tensor:
    """float64 in [low, high)."""
    return low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)


def normal(generator: torch.Generator, *shape: int) -> Tensor:
    """float64, of mean 0 and variance 1."""
    return torch.randn(shape, generator=generator, dtype=torch.float64)
