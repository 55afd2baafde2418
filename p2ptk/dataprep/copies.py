"""Which pairs of a survey are copies of one another, within a split and across splits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from p2ptk.dataprep.duplicates import near, near_mirrored
from p2ptk.dataprep.survey import Look

Group = tuple[Look, ...]


@dataclass(frozen=True)
class Copies:
    """Groups of pairs, each in the order of the survey.

    exact: the same pixels on both sides. near: both sides look alike, with the exact ones of such
    a group in it. mirrored: likewise, left and right swapped.
    same_a, same_b: one side has the same pixels, the other side has not.
    """

    exact: tuple[Group, ...]
    near: tuple[Group, ...]
    mirrored: tuple[Group, ...]
    same_a: tuple[Group, ...]
    same_b: tuple[Group, ...]


def find_copies(looks: Sequence[Look], *, single: bool = False) -> Copies:
    """Compare all pairs with all; pairs without anything in them are left out."""
    looks = [look for look in looks if not (look.a.blank and look.b.blank)]
    prints_a, prints_b = [look.a.print for look in looks], [look.b.print for look in looks]
    exact = _equal(looks, lambda look: look.a.digest + look.b.digest)
    alike = _joined(looks, ((i, j) for i, j, _ in near(prints_a, prints_b)))
    swapped = _joined(looks, ((i, j) for i, j, _ in near_mirrored(prints_a, prints_b)))
    known = {frozenset(group) for group in exact}
    alike = tuple(group for group in alike if frozenset(group) not in known)
    known |= {frozenset(group) for group in alike}
    one_a = () if single else _equal(looks, lambda look: b"" if look.a.blank else look.a.digest)
    one_b = () if single else _equal(looks, lambda look: b"" if look.b.blank else look.b.digest)
    return Copies(
        exact=exact,
        near=alike,
        mirrored=tuple(group for group in swapped if frozenset(group) not in known),
        same_a=tuple(group for group in one_a if len({look.b.digest for look in group}) > 1),
        same_b=tuple(group for group in one_b if len({look.a.digest for look in group}) > 1),
    )


def across(groups: Iterable[Group]) -> list[Group]:
    """The groups that lie in more than one split."""
    return [group for group in groups if len({look.split for look in group}) > 1]


def within(groups: Iterable[Group]) -> list[Group]:
    """The groups that have two pairs in one split."""
    return [group for group in groups if len({look.split for look in group}) < len(group)]


def _equal(looks: Sequence[Look], key: Callable[[Look], bytes]) -> tuple[Group, ...]:
    found: dict[bytes, list[Look]] = defaultdict(list)
    for look in looks:
        found[key(look)].append(look)
    found.pop(b"", None)
    return tuple(tuple(group) for group in found.values() if len(group) > 1)


def _joined(looks: Sequence[Look], links: Iterable[tuple[int, int]]) -> tuple[Group, ...]:
    """The groups that links between numbers make."""
    parent = list(range(len(looks)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, j in links:
        first, last = sorted((root(i), root(j)))
        parent[last] = first
    groups: dict[int, list[Look]] = defaultdict(list)
    for i, look in enumerate(looks):
        groups[root(i)].append(look)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)
