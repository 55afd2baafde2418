"""What augmentations are tried on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from p2ptk.contracts import Side
from p2ptk.randomness import sample_rng
from p2ptk.testing.outcomes import Failed, told
from p2ptk.testing.subject import Subject

SIZE = (48, 64)  # height and width of what comes out
COUNT = 4


@dataclass
class Scene:
    """A batch at the size that an augmentation loads, with what it drew for it."""

    source: Tensor
    target: Tensor
    params: dict[str, Tensor]

    @classmethod
    def of(
        cls,
        subject: Subject,
        made: Any,
        *,
        count: int = COUNT,
        channels: tuple[int, int] = (3, 3),
        labels: int = 0,
    ) -> Scene:
        """Smooth images in [-0.9, 0.9]; at stage derive the source is a copy of the target.

        labels: classes of a one-hot source.
        """
        height, width = SIZE
        if hasattr(made, "load_size"):
            height, width = made.load_size(SIZE)
        target = smooth(count, channels[1], (height, width), seed=1)
        source = smooth(count, channels[0], (height, width), seed=2)
        if labels:
            hot = smooth(count, labels, (height, width), seed=3).argmax(1)
            source = F.one_hot(hot, labels).movedim(-1, 1).float()
        if made.stage == "derive":
            source = target.clone()
        return cls(source, target, draw(subject, made, numbers_of(count)))

    @property
    def loaded(self) -> tuple[int, int]:
        height, width = self.target.shape[-2:]
        return height, width

    def part(self, i: int) -> Scene:
        """One sample of the batch."""
        one = slice(i, i + 1)
        params = {k: v[one] for k, v in self.params.items()}
        return Scene(self.source[one], self.target[one], params)


def smooth(count: int, channels: int, size: tuple[int, int], seed: int) -> Tensor:
    """Random images without sharp edges, in [-0.9, 0.9]."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, channels, 6, 6, generator=rng) * 1.8 - 0.9
    return F.interpolate(coarse, size=size, mode="bilinear", align_corners=True)


def started(subject: Subject) -> Any:
    """A new augmentation that was told that both sides hold images."""
    made = subject.build()
    tell(made, Side(), Side())
    return made


def tell(made: Any, source: Side, target: Side) -> None:
    """Say what both sides hold, where the augmentation wants to know."""
    if hasattr(made, "sides"):
        made.sides(source, target)


def numbers_of(count: int) -> list[int]:
    return list(range(count))


def draw(subject: Subject, made: Any, numbers: Sequence[int]) -> Any:
    """What it samples for these numbers. Raises Failed where it stops."""
    try:
        return made.sample(numbers, SIZE, sample_rng(0, "check"))
    except Exception as error:
        raise Failed(f"{subject.name}.sample stops: {told(error)}.") from error


@torch.no_grad()
def apply(subject: Subject, made: Any, scene: Scene) -> tuple[Tensor, Tensor]:
    """Both sides afterwards. Raises Failed where it gives something else."""
    found = made.apply(scene.source, scene.target, dict(scene.params))
    if (
        not isinstance(found, tuple | list)
        or len(found) != 2
        or not all(isinstance(x, Tensor) for x in found)
    ):
        raise Failed(f"{subject.name}.apply gives {type(found).__name__}: give (source, target).")
    return found[0], found[1]
