"""How many pixels a logit sees, measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from p2ptk.testing.outcomes import Failed, told
from p2ptk.testing.probe import inputs, working_size
from p2ptk.testing.subject import Subject

WHOLE = -1  # a logit sees the whole image, whatever its size
SHORTEST, LONGEST, ACROSS = 128, 1024, 64  # pixels of the images it is measured on
UNIT = 64  # lengths are multiples of this
PERIOD = 16  # pixels after which upsampled maps see alike
ROUNDS = 2  # inputs, so that a dead ReLU does not hide an edge
NORMS = (F.instance_norm, F.group_norm, F.layer_norm, F.batch_norm, F.rms_norm)


def seen_by_a_logit(subject: Subject, made: nn.Module) -> int:
    """Most pixels a side that one logit of any scale depends on, or WHOLE.

    Measured in eval mode from the gradients of single logits by the image, with norms taken out:
    their statistics reach over the whole image, and are not what is meant.
    """
    with torch.no_grad():
        for p in made.parameters():
            if not p.any():  # what starts at zero hides what is behind it
                p.normal_(0.0, 0.02)
    return max(_along(subject, made, axis) for axis in (-2, -1))


def _along(subject: Subject, made: nn.Module, axis: int) -> int:
    declared = getattr(made, "receptive_field", None)
    guess = 2 * declared + UNIT if isinstance(declared, int) else 0
    length = min(max(SHORTEST, math.ceil(guess / UNIT) * UNIT), LONGEST)
    across = max(ACROSS, *working_size(subject))
    while True:
        size = (length, across) if axis == -2 else (across, length)
        try:
            extent = _extent(subject, made, size, axis)
        except Failed:  # it takes images of one size only
            extent = _extent(subject, made, working_size(subject), axis)
            length = LONGEST
        if extent is not None:
            return extent
        if length >= LONGEST:
            return WHOLE
        length = min(2 * length, LONGEST)


def _extent(subject: Subject, made: nn.Module, size: tuple[int, int], axis: int) -> int | None:
    """Most pixels along an axis that one of the logits depends on; None if the border cuts it."""
    length = size[axis]
    with torch.no_grad():
        try:
            maps = [x.shape[axis] for x in made(*inputs(subject, batch=1, size=size)).logits]
        except Exception as error:
            raise Failed(told(error)) from error
    widest = 0
    for scale, places in enumerate(maps):
        touched: Tensor | None = None
        for _ in range(ROUNDS):
            seen = _seen(subject, made, size, axis, scale, places)
            touched = seen if touched is None else touched | seen
        assert touched is not None
        for row in touched:
            (places,) = row.nonzero(as_tuple=True)
            if not len(places):
                continue
            first, last = int(places[0]), int(places[-1])
            if first == 0 or last == length - 1:
                return None
            widest = max(widest, last - first + 1)
    return widest


def _seen(
    subject: Subject,
    made: nn.Module,
    size: tuple[int, int],
    axis: int,
    scale: int,
    places: int,
) -> Tensor:
    """For some logits around the middle, which places along the axis they depend on: K length."""
    stride = size[axis] / places
    count = min(places, max(2, math.ceil(PERIOD / stride)))
    given = [torch.rand(count, *x.shape[1:]) * 2 - 1 for x in inputs(subject, batch=1, size=size)]
    image = given[-1].requires_grad_()
    with _WithoutNorms():
        logits = made(*given).logits[scale]
    start = (places - count) // 2
    rows = torch.arange(count)
    middle = logits.shape[-1 if axis == -2 else -2] // 2
    picked = (
        logits[rows, 0, start + rows, middle]
        if axis == -2
        else logits[rows, 0, middle, start + rows]
    )
    (slope,) = torch.autograd.grad(picked.sum(), image, allow_unused=True, materialize_grads=True)
    return (slope != 0).any(1).any(-1 if axis == -2 else -2)


class _WithoutNorms(TorchFunctionMode):
    """Norms give back what they are given."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in NORMS:
            return args[0] if args else (kwargs or {})["input"]
        return func(*args, **(kwargs or {}))
