"""What is wrong, or may be wrong, with the pairs of a survey, in sentences."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from p2ptk.contracts import Dataset, Side
from p2ptk.dataprep.alignment import TOLERANCE, common_shift
from p2ptk.dataprep.copies import Copies, Group, across, within
from p2ptk.dataprep.survey import Look, SideLook, Survey
from p2ptk.dataprep.traits import swapped
from p2ptk.dataprep.wording import (
    NAMED,
    direction,
    equals,
    listed,
    more,
    names,
    pairs,
    shape,
    some_of,
)

Level = Literal["fault", "suspicion", "note"]
FEW = 30  # training pairs, below which a model mostly learns them by heart
APART = 0.7  # how often a pair's own edges agree better than a stranger's, at least


@dataclass(frozen=True)
class Finding:
    """One sentence, how sure it is, and the pairs that it is about.

    level: `fault` is certain, `suspicion` should be looked at, `note` is good to know.
    """

    level: Level
    kind: str
    text: str
    pairs: tuple[str, ...] = ()


def findings(found: Survey, copies: Copies, dataset: Dataset) -> list[Finding]:
    """Everything noticed, the most certain first."""
    looks = found.looks
    everything = [
        *_sizes(looks),
        *_blank(looks),
        *_leaks(copies),
        *_repeats(copies),
        *_alignment(found),
        *_sides_swapped(looks),
        *_counts(found),
    ]
    for which, side in (("A", dataset.a), ("B", dataset.b)):
        if which == "B" and found.single:
            break
        sides = [look.a if which == "A" else look.b for look in looks]
        everything += _values(which, side, sides)
    levels = ("fault", "suspicion", "note")
    return sorted(everything, key=lambda finding: levels.index(finding.level))


def _leaks(copies: Copies) -> Iterator[Finding]:
    for kind, groups, what in (
        ("leak", copies.exact, "the same pixels in more than one split"),
        ("near leak", copies.near, "nearly the same pictures in more than one split"),
        ("mirrored leak", copies.mirrored, "mirror images of each other in more than one split"),
    ):
        if crossing := across(groups):
            text = f"{what}: {equals(crossing)}; scores on a split seen in training say nothing"
            yield _about("fault" if kind == "leak" else "suspicion", kind, text, crossing)


def _repeats(copies: Copies) -> Iterator[Finding]:
    for kind, groups, what in (
        ("duplicate", copies.exact, "the same pixels more than once"),
        ("near duplicate", copies.near, "nearly the same pictures"),
    ):
        if inside := within(groups):
            text = f"{what} in one split: {equals(inside)}"
            if any(look.split == "train" for group in inside for look in group):
                text += "; keep them together when you split (`p2ptk data split --group`)"
            yield _about("note", kind, text, inside)
    for which, other, groups in (("A", "B", copies.same_a), ("B", "A", copies.same_b)):
        if groups:
            text = (
                f"one {which} with several {other}: {equals(list(groups))}; where {which} is the "
                "source, the model learns their average"
            )
            yield _about("note", f"one {which} several {other}", text, groups)


def _alignment(found: Survey) -> Iterator[Finding]:
    looks = [look for look in found.looks if look.agreement]
    mirrored = [look for look in looks if look.agreement and look.agreement.mirrored]
    if mirrored:
        ways = Counter(look.agreement.mirrored for look in mirrored if look.agreement)
        way = ways.most_common(1)[0][0]
        text = f"B is mirrored ({way}) in {some_of(mirrored, looks)}"
        yield Finding("suspicion", "mirrored", text, names(mirrored))
    scales = Counter(look.agreement.scale for look in looks if look.agreement)
    scale = scales.most_common(1)[0][0] if scales else 1
    windows = [
        look.agreement.window
        for look in looks
        if look.agreement and look.agreement.window is not None and look.agreement.scale == scale
    ]
    together = common_shift(windows)
    usual = (together[0] * scale, together[1] * scale) if together else (0, 0)
    if together:
        place = direction(*usual)
        text = f"in all pairs together B lies about {place} of A: move one side, or crop both"
        yield Finding("suspicion", "common shift", text)
    shifted = [
        look
        for look in looks
        if look.agreement
        and look.agreement.shifted
        and math.dist(look.agreement.shift, usual) > TOLERANCE * look.agreement.scale
    ]
    if shifted:
        some = "; ".join(
            f"{look} by {direction(*look.agreement.shift)}"
            for look in shifted[:NAMED]
            if look.agreement
        )
        text = f"B is shifted against A in {len(shifted)} of {len(looks)} pairs: {some}"
        yield Finding("suspicion", "shifted", text + more(shifted), names(shifted))
    own = [look.agreement.here for look in looks if look.agreement]
    if len(found.strangers) >= 8 and not together and len(mirrored) * 2 < len(looks):
        better = float((np.array(own)[:, None] > np.array(found.strangers)).mean())
        if better < APART:
            text = (
                "the edges of A and B agree no better within pairs than between different ones: "
                "are the files paired by the wrong names?"
            )
            yield Finding("suspicion", "unrelated", text)


def _sides_swapped(looks: Sequence[Look]) -> Iterator[Finding]:
    wrong = [looks[i] for i in swapped([x.a.traits for x in looks], [x.b.traits for x in looks])]
    if wrong:
        text = f"A and B look swapped in {some_of(wrong, looks)}"
        yield Finding("suspicion", "swapped", text, names(wrong))


def _sizes(looks: Sequence[Look]) -> Iterator[Finding]:
    shapes = Counter(look.a.size for look in looks)
    usual, count = shapes.most_common(1)[0]
    odd = [look for look in looks if look.a.size != usual]
    if odd and count >= 0.9 * len(looks):
        each = ", ".join(f"{look} {shape(look.a.size)}" for look in odd[:NAMED])
        text = f"{pairs(len(odd), 'is', 'are')} not of the usual {shape(usual)}: {each}{more(odd)}"
        yield Finding("note", "odd size", text, names(odd))
    ratios = [look.a.size[1] / look.a.size[0] for look in looks]
    if max(ratios) > 1.1 * min(ratios):
        text = (
            f"the pictures' proportions differ, from {min(ratios):.2f} to {max(ratios):.2f} "
            "(width to height): training squeezes all to one size"
        )
        yield Finding("note", "proportions", text)


def _blank(looks: Sequence[Look]) -> Iterator[Finding]:
    blank = [look for look in looks if look.a.blank or look.b.blank]
    if blank:
        text = f"{pairs(len(blank), 'has', 'have')} a side of one value only: {listed(blank)}"
        yield Finding("note", "blank", text, names(blank))


def _values(which: str, side: Side, sides: Sequence[SideLook]) -> Iterator[Finding]:
    low, high = min(x.low for x in sides), max(x.high for x in sides)
    option = which.lower()
    first = sides[0]
    if side.range and (low < side.range[0] or high > side.range[1]):
        ends = f"{side.range[0]:g} to {side.range[1]:g}"
        text = f"{which} goes from {low:g} to {high:g}: what is outside {ends} is cut"
        yield Finding("note", "cut", text)
    if side.kind != "image":
        return
    few = [x.values for x in sides]
    numbers = frozenset().union(*(x for x in few if x is not None))
    if all(x is not None for x in few) and 2 < len(numbers) <= 64 and high < 64:
        text = (
            f"{which} holds only the {len(numbers)} numbers {low:g} to {high:g}: if they are "
            f"classes, say {option}_kind=labels,{option}_classes={high + 1:g}"
        )
        yield Finding("suspicion", "classes", text)
    elif first.dtype == "uint16" and side.range is None and high < 0.3 * 65535:
        top = int(2 ** np.ceil(np.log2(high + 1)) - 1) if high else 1
        text = (
            f"{which} reaches only {high:g} of 65535, so that it is nearly black to the networks: "
            f"say {option}_range=[0,{top}]"
        )
        yield Finding("suspicion", "dark", text)
    alphas = [x.alpha for x in sides if x.alpha]
    if alphas:
        opaque = all(a[0] == a[1] for a in alphas) and len(set(alphas)) == 1
        rest = "the same everywhere: save without it" if opaque else "learnt as one more colour"
        text = f"{which} has {first.channels} channels; the last, if it is opacity, is {rest}"
        yield Finding("note", "alpha", text)


def _counts(found: Survey) -> Iterator[Finding]:
    train = found.counts.get("train", 0)
    if "train" not in found.counts:
        there = ", ".join(found.counts)
        yield Finding("fault", "no train", f"there is no split train, only {there}")
    elif train < FEW:
        number = f"{train} training pair{'s are' if train > 1 else ' is'}"
        text = f"{number} few: a model mostly learns so few by heart"
        yield Finding("note", "few", text)
    if "train" in found.counts and "val" not in found.counts and train > 1:
        text = (
            "no split val: `p2ptk run` sets a tenth of train aside; where pictures come in groups "
            "(frames, buildings), make the splits with `p2ptk data split --group`"
        )
        yield Finding("note", "no val", text)


def _about(level: Level, kind: str, text: str, groups: Sequence[Group]) -> Finding:
    return Finding(level, kind, text, tuple(str(look) for group in groups for look in group))
