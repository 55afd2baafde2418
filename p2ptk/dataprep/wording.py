"""Pairs, sizes and shifts in words."""

from __future__ import annotations

from collections.abc import Sequence

from p2ptk.dataprep.copies import Group
from p2ptk.dataprep.survey import Look

NAMED = 6  # pairs named in a sentence; all of them are in the JSON


def names(looks: Sequence[Look]) -> tuple[str, ...]:
    """All of their names."""
    return tuple(str(look) for look in looks)


def listed(looks: Sequence[Look]) -> str:
    """`train/1, train/2 and 7 more`."""
    return ", ".join(str(look) for look in looks[:NAMED]) + more(looks)


def more(things: Sequence[object]) -> str:
    """What is said of those beyond the first NAMED."""
    return f" and {len(things) - NAMED} more" if len(things) > NAMED else ""


def some_of(some: Sequence[Look], looks: Sequence[Look]) -> str:
    """`2 of 400 pairs: train/1, train/2`."""
    return f"{len(some)} of {len(looks)} pairs: {listed(some)}"


def pairs(number: int, one: str, several: str) -> str:
    """`1 pair has`, `2 pairs have`."""
    return f"{number} {f'pair {one}' if number == 1 else f'pairs {several}'}"


def equals(groups: Sequence[Group]) -> str:
    """`train/1 = val/7, train/2 = val/8`."""

    def shown(group: Group) -> str:
        return " = ".join(str(look) for look in group[:4]) + (" = ..." if len(group) > 4 else "")

    return ", ".join(shown(group) for group in groups[:NAMED]) + more(groups)


def shape(size: tuple[int, int]) -> str:
    """Width x height, as other programs have it."""
    return f"{size[1]}x{size[0]}"


def direction(across: int, down: int) -> str:
    """`8 px right and 3 px down`."""
    parts = []
    if across:
        parts.append(f"{abs(across)} px {'right' if across > 0 else 'left'}")
    if down:
        parts.append(f"{abs(down)} px {'down' if down > 0 else 'up'}")
    return " and ".join(parts)
