"""Checks for datasets: what their pairs hold."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from p2ptk.contracts import Pair, Side
from p2ptk.pairs.batch import fixed_batch
from p2ptk.tensors import shape_of
from p2ptk.testing.common import check
from p2ptk.testing.outcomes import Failed
from p2ptk.testing.pairs import indices_of, walk
from p2ptk.testing.subject import Subject

FED = (32, 48)  # height and width of a batch


@check("dataset", essential=True)
def sides(subject: Subject) -> str:
    """`a` and `b` say what the two sides hold."""
    made = subject.build()
    for name in ("a", "b"):
        if not isinstance(getattr(made, name, None), Side):
            raise Failed(
                f"{subject.name} has no {name}: set self.{name} = Side() of p2ptk, or "
                'Side("labels", classes=...), Side("values", range=(...)).'
            )
    return f"{made.a.kind} to {made.b.kind}."


@check("dataset", essential=True)
def pairs(subject: Subject) -> str:
    """Pairs hold two CPU tensors C H W of supported types, with the same channels throughout."""
    made = subject.build()
    shown = ""
    firsts: dict[str, Pair] = {}
    for split, index, pair in walk(made):
        where = f"{subject.name}'s pair {index} of {split!r}"
        if not isinstance(pair, Pair):
            raise Failed(f"{where} is {type(pair).__name__}: give Pair(source, target, name).")
        for which, x, side in (("source", pair.source, made.a), ("target", pair.target, made.b)):
            _check_side(where, which, x, side)
        first = firsts.setdefault(split, pair)
        for which in ("source", "target"):
            now, then = getattr(pair, which).shape[0], getattr(first, which).shape[0]
            if now != then:
                raise Failed(
                    f"{where} has a {which} of {now} channels, where {first.name!r} has {then}: "
                    "channels must agree."
                )
        shown = shown or f"{shape_of(pair.source)} to {shape_of(pair.target)}"
    return shown


@check("dataset")
def aligned(subject: Subject) -> str | None:
    """Both sides of a pair, and its extra tensors, lie on one grid."""
    made = subject.build()
    scaled = None
    for split, index, pair in walk(made):
        where = f"{subject.name}'s pair {index} of {split!r}"
        (h, w), (th, tw) = pair.source.shape[-2:], pair.target.shape[-2:]
        if (h, w) != (th, tw):
            if abs(h * tw - w * th) > max(h, w, th, tw):  # more than a pixel of rounding
                raise Failed(
                    f"{where} has a source of {h}x{w} and a target of {th}x{tw} pixels: both must "
                    "show the same, in the same proportions."
                )
            scaled = f"sides differ in scale: {h}x{w} and {th}x{tw}."
        for name, x in pair.extra.items():
            if not isinstance(x, Tensor) or x.ndim != 3 or x.shape[-2:] not in ((h, w), (th, tw)):
                shape = shape_of(x) if isinstance(x, Tensor) else type(x).__name__
                raise Failed(
                    f"{where} has an extra {name!r} of {shape}: give C H W on the pair's own grid."
                )
    return scaled


@check("dataset")
def feeds(subject: Subject) -> str:
    """Pairs become a batch as training has it: float32 in [-1, 1], labels one-hot."""
    made = subject.build()
    part = made.split("train")
    batch = fixed_batch(
        part,
        indices_of(part)[:2],
        made.a,
        made.b,
        direction="AtoB",
        size=FED,
        device=torch.device("cpu"),
        workers=0,
    )
    for which, x, side in (("source", batch.source, made.a), ("target", batch.target, made.b)):
        if x.dtype != torch.float32 or x.shape[-2:] != FED or float(x.abs().max()) > 1:
            raise Failed(
                f"{subject.name}'s {which} becomes {shape_of(x)}, {x.dtype}, up to "
                f"{float(x.abs().max()):.4g}: see that its Side says what it holds."
            )
        if side.kind == "labels" and not (x.sum(1) == 1).all():
            raise Failed(
                f"{subject.name}'s {which} has pixels without a class: its Side must count every "
                "class that occurs."
            )
    return f"{shape_of(batch.source)} to {shape_of(batch.target)}"


@check("dataset")
def names(subject: Subject) -> None:
    """Pairs have names, unique within a split; `names` and `sizes` agree with them."""
    made = subject.build()
    for split in made.splits():
        part = made.split(split)
        seen: dict[str, int] = {}
        listed = getattr(part, "names", None)
        for index in indices_of(part) if listed is None else range(len(part)):
            name = part[index].name if listed is None else listed[index]
            if not isinstance(name, str) or not name:
                raise Failed(f"{subject.name}'s pair {index} of {split!r} has the name {name!r}.")
            if name in seen:
                raise Failed(
                    f"{subject.name}'s pairs {seen[name]} and {index} of {split!r} are both called "
                    f"{name!r}: names must be unique, since files are called after them."
                )
            seen[name] = index
        for index in indices_of(part):
            pair = part[index]
            if listed is not None and listed[index] != pair.name:
                raise Failed(
                    f"{subject.name}'s names[{index}] of {split!r} is {listed[index]!r}, and the "
                    f"pair's own name {pair.name!r}."
                )
            sizes = getattr(part, "sizes", None)
            if sizes is not None and tuple(sizes()[index]) != tuple(pair.source.shape[-2:]):
                raise Failed(
                    f"{subject.name}'s sizes()[{index}] of {split!r} is {tuple(sizes()[index])}, "
                    f"and the pair has {tuple(pair.source.shape[-2:])}: give (height, width)."
                )


def _check_side(where: str, which: str, x: Any, side: Side) -> None:
    if not isinstance(x, Tensor):
        raise Failed(f"{where} has a {which} of {type(x).__name__}: give a tensor C H W.")
    if x.ndim != 3 or not x.numel():
        raise Failed(f"{where} has a {which} of shape {tuple(x.shape)}: give C H W.")
    if x.device.type != "cpu":
        raise Failed(f"{where} has a {which} on {x.device}: give CPU tensors, the feed moves them.")
    if side.kind == "labels":
        if x.shape[0] != 1 or x.is_floating_point():
            raise Failed(
                f"{where} has labels of {shape_of(x)}, {x.dtype}: give 1 H W of whole class "
                "numbers."
            )
        if side.depth and int(x.max()) >= side.depth:
            raise Failed(
                f"{where} has the class {int(x.max())} in its {which}, and its Side "
                f"{side.depth} classes, 0 to {side.depth - 1}."
            )
        return
    if x.dtype not in (torch.uint8, torch.uint16) and not x.is_floating_point():
        raise Failed(f"{where} has a {which} of {x.dtype}: give uint8, uint16 or float32.")
    if x.is_floating_point():
        if side.range is None:
            low, high = float(x.min()), float(x.max())
            raise Failed(
                f"{where} has a {which} of floats from {low:g} to {high:g}, and its Side no range: "
                f"set Side(..., range=(low, high)), the values that become -1 and 1."
            )
        if not x.isfinite().all():
            raise Failed(f"{where} has a {which} with values that are not finite.")
