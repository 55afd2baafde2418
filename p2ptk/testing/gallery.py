"""What metrics are tried on: photos, drawn maps or labels, whichever a metric takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from p2ptk.contracts import Side
from p2ptk.errors import Unavailable, UserError
from p2ptk.metrics.setting import Setting
from p2ptk.testing.outcomes import Failed, Skipped, told
from p2ptk.testing.subject import Subject

Holds = Literal["photos", "maps", "labels"]

COUNT = 4  # images; the least that precision and recall take
SIDES = (64, 192)  # pixels, tried in turn
HOLDS: tuple[Holds, ...] = ("photos", "maps", "labels")
COLOURS = ((0.9, -0.9, -0.9), (-0.9, 0.9, -0.9), (-0.9, -0.9, 0.9), (0.9, 0.9, -0.9))


class Gallery:
    """Sources, targets, and translations that differ from the targets by some noise.

    holds: what the targets are. `labels` are one-hot, `maps` drawn in a few colours.
    """

    def __init__(self, holds: Holds, side: int) -> None:
        self.holds, self.side = holds, side
        rng = torch.Generator().manual_seed(0)
        self.source = _smooth(3, side, rng) * 0.8
        self.classes = _smooth(len(COLOURS), side, rng).argmax(1)
        self.photos = _smooth(3, side, rng) * 0.8

    @property
    def target(self) -> Tensor:
        return self.fake(0.0)

    def fake(self, noise: float, seed: int = 1) -> Tensor:
        """The targets with noise of that amplitude; of classes that share of pixels is wrong."""
        rng = torch.Generator().manual_seed(seed)
        if self.holds == "photos":
            drawn = torch.rand(self.photos.shape, generator=rng) * 2 - 1
            return (self.photos + noise * drawn).clamp(-1, 1)
        wrong = torch.rand(self.classes.shape, generator=rng) < noise
        other = torch.randint(len(COLOURS), self.classes.shape, generator=rng)
        classes = torch.where(wrong, other, self.classes)
        if self.holds == "labels":
            return F.one_hot(classes, len(COLOURS)).movedim(-1, 1).float()
        return torch.tensor(COLOURS)[classes].movedim(-1, 1).contiguous()

    def setting(self) -> Setting:
        """What a metric is told before the first batch."""
        labels = self.holds == "labels"
        target = Side("labels", classes=len(COLOURS)) if labels else Side()

        def stored() -> Iterator[Tensor]:
            for classes, image in zip(self.classes, self.target, strict=True):
                yield (classes[None] if labels else ((image + 1) * 127.5).round()).to(torch.uint8)

        return Setting(Side(), target, stored)


def scores(
    subject: Subject, split: Sequence[int], noise: float, gallery: Gallery | None = None
) -> dict[str, float]:
    """What a new metric computes of the same images in batches of these sizes.

    Where a metric compares several translations of a source, each has noise of its own.
    """
    shown = gallery or gallery_of(subject)
    made: Any = subject.build()
    if hasattr(made, "prepare"):
        made.prepare(shown.setting())
    several = hasattr(made, "update_samples")
    count = made.samples if several else 1
    fakes = torch.stack([shown.fake(noise, seed=1 + i) for i in range(count)])
    with torch.no_grad():
        parts = (x.split(list(split), dim) for x, dim in _along(fakes, shown))
        for fake, target, source in zip(*parts, strict=True):
            if several:
                made.update_samples(fake, target, source)
            else:
                made.update(fake[0], target, source)
        found: dict[str, float] = made.compute()
    return found


def gallery_of(subject: Subject) -> Gallery:
    """The first pictures that the metric takes.

    Raises Skipped where it refuses all of them, or its weights can't be had.
    """

    def find() -> Gallery:
        refusal: Exception | None = None
        for holds in HOLDS:
            for side in SIDES:
                shown = Gallery(holds, side)
                try:
                    scores(subject, (COUNT,), 0.1, shown)
                except Unavailable as error:
                    raise Skipped(f"it can't be had here: {told(error)}.") from error
                except UserError as error:
                    refusal = refusal or error
                    continue
                except Failed:
                    raise
                except Exception:  # the checks tell
                    return shown
                return shown
        assert refusal is not None
        raise Skipped(f"it refuses photos, maps and labels: {told(refusal)}.")

    return subject.once("gallery", find)


def _along(fakes: Tensor, shown: Gallery) -> tuple[tuple[Tensor, int], ...]:
    """Fakes, targets and sources, each with the dimension that counts images."""
    return (fakes, 1), (shown.target, 0), (shown.source, 0)


def _smooth(channels: int, side: int, rng: torch.Generator) -> Tensor:
    coarse = torch.rand(COUNT, channels, 8, 8, generator=rng) * 2 - 1
    return F.interpolate(coarse, size=(side, side), mode="bilinear", align_corners=False)
