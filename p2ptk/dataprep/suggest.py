"""What to type next: a size that suits both the pictures and the generator, and the direction."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from p2ptk.dataprep.survey import Look
from p2ptk.dataprep.traits import drawn

Size = tuple[int, int]
STRETCH = 0.16  # logarithm of the change of proportions that is put up with
ENLARGE = 1.15


@dataclass(frozen=True)
class Suggestion:
    """Commands, and the sentence that goes with their direction.

    commands: what each is for, and the command: a first look, then the reference model.
    """

    size: Size
    direction: Literal["AtoB", "BtoA"]
    why: str
    commands: tuple[tuple[str, str], ...]


def suggest(data: str, looks: Sequence[Look], *, single: bool = False) -> Suggestion:
    """Commands for pairs that are given as `-d DATA`.

    single: they are single pictures, which an augmentation makes the sources of.
    """
    usual = Counter(look.a.size for look in looks).most_common(1)[0][0]
    side = drawn([look.a.traits for look in looks], [look.b.traits for look in looks])
    direction: Literal["AtoB", "BtoA"] = "BtoA" if side == "b" else "AtoB"
    why = "look at the pictures for which side is the source; --direction BtoA goes from B to A"
    if side:
        source, target = ("B", "A") if side == "b" else ("A", "B")
        why = (
            f"{source} looks drawn (even areas), {target} does not: {direction} paints {target} "
            f"from it, {'AtoB' if side == 'b' else 'BtoA'} draws it"
        )
    given = f"-d {shlex.quote(data)} --direction {direction}"
    if single:
        given = f"-d {shlex.quote(data)} -A +colorize"
        why = (
            "single pictures: name what makes the source of each (here of the plugin p2ptk-kornia)"
        )
    size, depth = fitting(usual, 256, 8)
    small, small_depth = fitting(usual, 128, 6)
    name = Path(data.rpartition("path=")[2].split(",")[0]).absolute().name or "mine"
    quick = f"p2ptk run {given} --recipe quick --size {_shown(small)}"
    if small_depth < 6:
        quick += f" -G unet:depth={small_depth},width=32,upsample=resize,dropout=0.0"
    whole = f"p2ptk run {given} --size {_shown(size)}"
    if depth < 8:
        whole += f" -G unet:depth={depth}"
    return Suggestion(
        size=size,
        direction=direction,
        why=why,
        commands=(
            ("a first look, minutes to an hour", f"{quick} -o {shlex.quote(f'runs/{name}-quick')}"),
            ("the reference model", f"{whole} -o {shlex.quote(f'runs/{name}')}"),
        ),
    )


def fitting(usual: Size, shorter: int, deepest: int) -> tuple[Size, int]:
    """A training size for pictures of `usual` height and width, and the depth of a U-Net for it.

    The deepest U-Net whose multiples, 2^depth, keep the proportions, at about `shorter` pixels
    for the shorter side and without enlarging much.
    """
    scale = min(1.0, shorter / min(usual))
    wanted = [side * scale for side in usual]
    for depth in range(deepest, 2, -1):
        multiple = 2**depth
        height, width = (max(1, round(side / multiple)) * multiple for side in wanted)
        proportions = abs(math.log(width / height * usual[0] / usual[1]))
        if proportions <= STRETCH and max(height / usual[0], width / usual[1]) <= ENLARGE:
            return (height, width), depth
    height, width = (max(1, round(side / 4)) * 4 for side in wanted)
    return (height, width), 2


def _shown(size: Size) -> str:
    return str(size[0]) if size[0] == size[1] else f"{size[0]}x{size[1]}"
