"""Which pairs of a dataset are looked at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from p2ptk.contracts import Pair

LOOKED_AT = 8  # pairs of a split


def walk(made: Any) -> Iterator[tuple[str, int, Any]]:
    """Some pairs of every split: (split, index, pair)."""
    for split in made.splits():
        part = made.split(split)
        for index in indices_of(part):
            yield split, index, part[index]


def indices_of(part: Any) -> list[int]:
    """Indices spread over a split."""
    count = len(part)
    return sorted({round(i * (count - 1) / (LOOKED_AT - 1)) for i in range(LOOKED_AT)})


def same_pair(a: Pair, b: Pair) -> bool:
    return (
        a.name == b.name
        and torch.equal(a.source, b.source)
        and torch.equal(a.target, b.target)
        and a.extra.keys() == b.extra.keys()
        and all(torch.equal(x, b.extra[name]) for name, x in a.extra.items())
    )
