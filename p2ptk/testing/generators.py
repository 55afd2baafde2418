"""Checks for generators."""

from __future__ import annotations

import torch
from torch import nn

from p2ptk.testing.common import check
from p2ptk.testing.outcomes import Failed
from p2ptk.testing.probe import (
    CHANNELS,
    Size,
    forward,
    inputs,
    keeps_size,
    measure_multiple,
    multiple_of,
    network,
    some_multiples,
    working_size,
)
from p2ptk.testing.subject import Subject

LARGEST = 512 * 512  # pixels of a size that is tried
SLACK = 1e-3  # beyond [-1, 1], for rounding


@check("generator")
def channels(subject: Subject) -> None:
    """It takes 1, 3, 4 and unequal channels, and gives an image of the target's."""
    for source, target in CHANNELS:
        made = subject.build(source_channels=source, target_channels=target).eval()
        given = inputs(subject, batch=1, source_channels=source)
        found = forward(subject, made, *given)
        height, width = given[0].shape[-2:]
        if len(found) != 1 or found[0].shape != (1, target, height, width):
            shape = "x".join(map(str, found[0].shape)) if len(found) == 1 else "several tensors"
            raise Failed(
                f"{subject.name} built with source_channels={source}, target_channels={target} "
                f"gives {shape} for a source of 1x{source}x{height}x{width}: it must give "
                f"1x{target}x{height}x{width}."
            )


@check("generator")
def non_square(subject: Subject) -> None:
    """It translates tall and wide images."""
    made = network(subject)
    height, width = working_size(subject)
    down, right = multiple_of(made) or (height, width)
    for size in ((height + down, width), (height, width + right)):
        found = forward(subject, made, *inputs(subject, batch=1, size=size))
        if tuple(found[0].shape[-2:]) != size:
            shape = "x".join(map(str, found[0].shape[-2:]))
            raise Failed(f"{subject.name} gives {shape} pixels for {size[0]}x{size[1]}.")


@check("generator")
def size_multiple(subject: Subject) -> None:
    """Multiples of its `size_multiple` work, and multiples of no smaller number do."""
    made = network(subject)
    declared = multiple_of(made) if hasattr(made, "size_multiple") else None
    if declared is None:
        shown = getattr(made, "size_multiple", None)
        what = "declares no size_multiple" if shown is None else f"has size_multiple = {shown!r}"
        value = measure_multiple(subject, made)
        advice = f"self.size_multiple = {value}" if value else "a whole number, or two"
        raise Failed(f"{subject.name} {what}: set {advice} when it is built.")
    least = max(working_size(subject))
    for size in some_multiples(declared, least):
        if size[0] * size[1] > LARGEST and size != some_multiples(declared, least)[0]:
            continue
        if not keeps_size(subject, made, size):
            value = measure_multiple(subject, made)
            advice = f"declare size_multiple = {value}" if value else "declare what it needs"
            raise Failed(
                f"{subject.name} declares size_multiple = {_shown(declared)}, but can't translate "
                f"{size[0]}x{size[1]} pixels to as many: {advice}."
            )
    smaller = _smaller(subject, made, declared, least)
    if smaller:
        raise Failed(
            f"{subject.name} declares size_multiple = {_shown(declared)}, but multiples of "
            f"{_shown(smaller)} work as well: declare size_multiple = {_shown(smaller)}."
        )


@check("generator")
def range_of_output(subject: Subject) -> str | None:
    """Its output is finite and in [-1, 1], unless it declares `bounded = False`."""
    made, given = network(subject), inputs(subject)
    found = forward(subject, made, *given)[0]
    if not found.isfinite().all():
        raise Failed(f"{subject.name}'s output is not finite.")
    if getattr(made, "bounded", True) is False:
        return "declared unbounded."
    largest = float(found.abs().max())
    with torch.no_grad():
        for p in made.parameters():  # what happens to be small at first may not stay so
            p.mul_(4)
    grown = forward(subject, made, *given)[0]
    largest = max(largest, float(grown[grown.isfinite()].abs().max()) if grown.numel() else 0.0)
    if largest > 1 + SLACK:
        raise Failed(
            f"{subject.name}'s output leaves [-1, 1] (up to {largest:.3g}, as weights grow): end "
            "it with tanh, or declare self.bounded = False if its values have no bounds."
        )
    return None


def _smaller(subject: Subject, made: nn.Module, declared: Size, least: int) -> Size | None:
    """A smaller multiple that would do, the least first; for two numbers one after the other."""
    height, width = declared
    if height == width:
        choices = [(d, d) for d in _divisors(height)]
    else:
        choices = [(d, width) for d in _divisors(height)] + [(height, d) for d in _divisors(width)]
    for choice in choices:
        sizes = _not_multiples(choice, declared, least)
        if all(keeps_size(subject, made, size) for size in sizes):
            return choice
    return None


def _divisors(number: int) -> list[int]:
    return [d for d in range(1, number) if number % d == 0]


def _not_multiples(choice: Size, declared: Size, least: int) -> list[Size]:
    """Sizes of multiples of `choice`, of which a side or both are no multiples of `declared`."""
    off = []
    for divisor, multiple in zip(choice, declared, strict=True):
        on = -(-least // multiple) * multiple
        # The next two multiples of the divisor that are none of the declared number.
        found = [
            n
            for n in range(on, on + 2 * multiple + 1, divisor)
            if n % multiple or divisor == multiple
        ]
        off.append((on, found[0], found[-1]))
    (on_h, first_h, last_h), (on_w, first_w, last_w) = off
    return [(first_h, first_w), (last_h, on_w), (on_h, last_w)]


def _shown(multiple: Size) -> str:
    return str(multiple[0]) if multiple[0] == multiple[1] else str(multiple)
