"""Whether two sides are moved alike: spots are put on both, and looked for in what comes out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from p2ptk.testing.scene import Scene, apply
from p2ptk.testing.subject import Subject

COUNT, ROUNDS = 16, 4  # images of a batch, spots tried in each
RADIUS = 1  # of a spot, which is a square
BRIGHT = 0.5
VISIBLE = 0.05  # change that counts as the spot
SHARE, LEAST = 0.03, 2  # of the spots seen that must lie apart; a single one may be chance


class Compared(NamedTuple):
    """Spots seen on both sides, those that lie apart, and by how many pixels at most."""

    seen: int
    apart: int
    furthest: float


def compare_sides(subject: Subject, made: Any, near: float) -> Compared:
    """How far apart one spot, put on both sides of each image, comes out.

    The spot is what changes in a side when it is put there, with the same parameters: so it is
    found whatever else is done to colours, and is not seen where it was cut away or covered.
    near: pixels that may lie between.
    """
    return _tally(Scene.of(subject, made, count=COUNT), near, partial(_moved, subject, made))


def compare_geometry(subject: Subject, made: Any, near: float) -> Compared:
    """How far apart a spot in the target and one in an extra tensor come out."""

    def moved(scene: Scene, spot: Tensor) -> tuple[Tensor, Tensor]:
        _, target = _moved(subject, made, scene, spot)
        return target, made.geometry(spot, dict(scene.params), True).abs().sum(1)

    return _tally(Scene.of(subject, made, count=COUNT), near, moved)


def _moved(subject: Subject, made: Any, scene: Scene, spot: Tensor) -> tuple[Tensor, Tensor]:
    """How each side changes with the spot: N H W each."""
    dim = Scene(scene.source * 0.5, scene.target * 0.5, scene.params)
    marked = Scene(dim.source + spot, dim.target + spot, scene.params)
    before, after = apply(subject, made, dim), apply(subject, made, marked)
    source, target = ((b - a).abs().sum(1) for a, b in zip(before, after, strict=True))
    return source, target


def _tally(
    scene: Scene, near: float, moved: Callable[[Scene, Tensor], tuple[Tensor, Tensor]]
) -> Compared:
    rng = torch.Generator().manual_seed(0)
    distances = []
    for _ in range(ROUNDS):
        for x, y in zip(*moved(scene, _spots(scene.loaded, rng)), strict=True):
            here, there = _place(x), _place(y)
            if here is not None and there is not None:
                distances.append(float((here - there).norm()))
    apart = [distance for distance in distances if distance > near]
    if len(apart) < max(LEAST, SHARE * len(distances)):
        apart = []
    return Compared(len(distances), len(apart), max(apart, default=0.0))


def _spots(size: tuple[int, int], rng: torch.Generator) -> Tensor:
    """A square spot in each image, at a place of its own: COUNT 1 H W."""
    height, width = size
    spots = torch.zeros(COUNT, 1, height, width)
    for image in spots:
        top = int(torch.randint(RADIUS, height - RADIUS, (), generator=rng))
        left = int(torch.randint(RADIUS, width - RADIUS, (), generator=rng))
        image[:, top - RADIUS : top + RADIUS + 1, left - RADIUS : left + RADIUS + 1] = BRIGHT
    return spots


def _place(change: Tensor) -> Tensor | None:
    """The middle of what changed most, (row, column); None where nothing did."""
    most = change.max()
    if most < VISIBLE:
        return None
    return (change >= most / 2).nonzero().float().mean(0)
