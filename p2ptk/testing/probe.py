"""How a network is tried: at which size, on what, and what it gives."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from p2ptk.testing.outcomes import Failed, told
from p2ptk.testing.subject import Subject

Size = tuple[int, int]
SIDES = (32, 64, 128, 256)  # tried in turn, rounded up to what the network divides by
CHANNELS = ((1, 1), (3, 3), (4, 4), (1, 3), (5, 2))  # source and target
CANDIDATES = (*range(1, 17), 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 192, 224, 256, 512)


def network(subject: Subject) -> nn.Module:
    """A new network in eval mode, from seed 0, with three channels a side."""
    torch.manual_seed(0)
    made: nn.Module = subject.build()
    return made.eval()


def inputs(
    subject: Subject,
    *,
    batch: int = 2,
    size: Size | None = None,
    source_channels: int = 3,
    target_channels: int = 3,
) -> tuple[Tensor, ...]:
    """What its forward takes, drawn from U[-1, 1]: a source, and for discriminators an image."""
    height, width = size or working_size(subject)
    sides = [source_channels]
    if subject.kind == "discriminator":
        sides.append(target_channels)
    rng = torch.Generator().manual_seed(height * 10_000 + width)
    return tuple(torch.rand(batch, c, height, width, generator=rng) * 2 - 1 for c in sides)


@torch.no_grad()
def forward(subject: Subject, made: nn.Module, *given: Tensor, when: str = "") -> list[Tensor]:
    """All tensors that a forward gives. Raises Failed where it stops."""
    try:
        return outputs(subject, made(*given))
    except Failed:
        raise
    except Exception as error:
        height, width = given[0].shape[-2:]
        words = f" {when}" if when else ""
        raise Failed(
            f"{subject.name} stops on {height}x{width} pixels of {given[0].shape[1]} "
            f"channels{words}: {told(error)}."
        ) from error


def outputs(subject: Subject, found: Any) -> list[Tensor]:
    """The tensors of an output in order; of a Judgement the logits come first."""
    if isinstance(found, Tensor):
        return [found]
    if isinstance(found, list | tuple):
        return [x for item in found for x in outputs(subject, item)]
    raise Failed(f"{subject.name}'s forward gives {type(found).__name__}, where tensors belong.")


def multiple_of(made: nn.Module) -> Size | None:
    """(height, width) that a network declares to need multiples of; None where it does not."""
    declared = getattr(made, "size_multiple", None)
    if declared is None and getattr(made, "strides", None):
        declared = max(made.strides)  # type: ignore[arg-type]
    if isinstance(declared, int) and not isinstance(declared, bool):
        return (declared, declared) if declared > 0 else None
    try:
        height, width = (int(side) for side in declared)  # type: ignore[union-attr]
    except (TypeError, ValueError):
        return None
    return (height, width) if min(height, width) > 0 else None


def working_size(subject: Subject) -> Size:
    """The smallest size of `SIDES` that it takes. Raises Failed where there is none."""

    def find() -> Size:
        made = network(subject)
        multiple = multiple_of(made) or (1, 1)
        last: Failed | None = None
        for least in SIDES:
            size = tuple(math.ceil(least / m) * m for m in multiple)
            try:
                forward(subject, made, *inputs(subject, size=size))  # type: ignore[arg-type]
                return size  # type: ignore[return-value]
            except Failed as failed:
                last = failed
        measured = measure_multiple(subject, made)
        if measured:
            return (math.ceil(64 / measured) * measured,) * 2
        assert last is not None
        raise last

    return subject.once("size", find)


def measure_multiple(subject: Subject, made: nn.Module) -> int | None:
    """The smallest number whose multiples it takes, found by trying; None where none was found."""
    for candidate in CANDIDATES:
        sizes = some_multiples((candidate, candidate), 64)
        if all(keeps_size(subject, made, size) for size in sizes):
            return candidate
    return None


def some_multiples(multiple: Size, least: int) -> list[Size]:
    """Three sizes of multiples, even and odd ones, none square."""
    first = [math.ceil(least / m) for m in multiple]
    steps = ((0, 1), (1, 0), (2, 1))
    return [((first[0] + i) * multiple[0], (first[1] + j) * multiple[1]) for i, j in steps]


def keeps_size(subject: Subject, made: nn.Module, size: Size) -> bool:
    """Whether a forward at that size works, and gives an image of that size (a generator)."""
    try:
        found = forward(subject, made, *inputs(subject, batch=1, size=size))
    except Failed:
        return False
    return subject.kind != "generator" or tuple(found[0].shape[-2:]) == size
