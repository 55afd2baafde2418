"""What a metric may learn of an evaluation before the first batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from p2ptk.contracts import Side, Split
from p2ptk.pairs.pixels import normalise


@dataclass(frozen=True)
class Setting:
    """source, target: what both sides hold, the direction applied.

    targets: walks over the target images as they are stored, C H W of the side's own numbers,
        each in its own size: the evaluation itself may scale them.
    kept: what metrics found in the targets, by a key of theirs, for later evaluations of the same.
    """

    source: Side
    target: Side
    targets: Callable[[], Iterator[Tensor]]
    kept: dict[str, Any] = field(default_factory=dict)


def stored_targets(split: Split, backwards: bool) -> Callable[[], Iterator[Tensor]]:
    """The targets of a split as `Setting.targets` gives them; A's where backwards."""

    def walk() -> Iterator[Tensor]:
        for number in range(len(split)):
            pair = split[number]
            yield pair.source if backwards else pair.target

    return walk


def as_colours(picture: Tensor, side: Side) -> Tensor:
    """An image C H W of a side's own numbers as uint8 3 H W."""
    if picture.dtype != torch.uint8 or side.range:
        picture = ((normalise(picture, side) + 1) * 127.5).round().to(torch.uint8)
    return picture[:3] if len(picture) >= 3 else picture[:1].expand(3, -1, -1)
