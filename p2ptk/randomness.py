"""Randomness as a function of the seed and of what it is for.

Nothing draws from a stream that runs on: each sample and each step has a seed of its own, so order,
crops and dropout do not depend on batch size, workers, rank, or on where a run was resumed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import torch


def seed_of(*words: int | str) -> int:
    """A 63-bit seed from words, the same on every machine and Python: BLAKE2b of their text."""
    digest = hashlib.blake2b(repr(words).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def step_seed(seed: int, step: int, rank: int = 0) -> int:
    """What dropout draws from in a step."""
    return seed_of("step", seed, step, rank)


def sample_rng(seed: int, salt: str) -> Callable[[int], torch.Generator]:
    """`rng(number)`: a generator of its own for each global sample number, on the CPU.

    salt: the key of what draws, so that two augmentations don't draw the same numbers.
    """

    def rng(number: int) -> torch.Generator:
        return torch.Generator().manual_seed(seed_of("sample", seed, salt, number))

    return rng
