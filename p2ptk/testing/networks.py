"""Checks for generators, encoders and discriminators alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from p2ptk.testing.common import check
from p2ptk.testing.kept import Kept
from p2ptk.testing.numbers import moved_by, states
from p2ptk.testing.outcomes import Failed
from p2ptk.testing.probe import forward, inputs, network
from p2ptk.testing.subject import Subject

NETWORKS = ("generator", "encoder", "discriminator")


@check(*NETWORKS, essential=True)
def module(subject: Subject) -> None:
    """It is an nn.Module that works at one of 32, 64, 128 or 256 pixels."""
    made = subject.build()
    if not isinstance(made, nn.Module):
        raise Failed(f"{subject.name} gives {type(made).__name__}, which is no nn.Module.")
    forward(subject, network(subject), *inputs(subject))


@check(*NETWORKS)
def registered(subject: Subject) -> None:
    """All its tensors and modules are registered: they move to a device and are saved."""
    made = network(subject)
    known = {id(x) for x in (*made.parameters(), *made.buffers(), *made.modules())}
    for where, layer in made.named_modules():
        for attribute, value in vars(layer).items():
            if attribute in ("_parameters", "_buffers", "_modules"):
                continue
            for found in _within(value):
                if id(found) in known:
                    continue
                place = f"{where}.{attribute}" if where else attribute
                if isinstance(found, nn.Module):
                    what, advice = "a module", "use nn.ModuleList or nn.ModuleDict"
                else:
                    what, advice = "a tensor", "call register_buffer for it, or make it a Parameter"
                raise Failed(
                    f"{subject.name} keeps {what} in {place!r} that is not registered, so it stays "
                    f"on the CPU and is not saved: {advice}."
                )


@check(*NETWORKS)
def input_unchanged(subject: Subject) -> None:
    """Its forward leaves its input as it was."""
    given = inputs(subject)
    kept = Kept(dict(zip(("source", "image"), given, strict=False)))
    forward(subject, network(subject).train(), *given)
    if name := kept.changed():
        raise Failed(
            f"{subject.name} changes its {name} in place: the other phase reads it again; make the "
            "first operation on it one that gives a new tensor."
        )


@check(*NETWORKS)
def eval_is_deterministic(subject: Subject) -> None:
    """In eval mode nothing is drawn, and a second forward gives the same."""
    made, given = network(subject), inputs(subject)
    library = moved_by(lambda: forward(subject, made, *given))
    if library:
        raise Failed(
            f"{subject.name} draws from {library}'s generator in eval mode: draw only where "
            "self.training, as nn.Dropout does."
        )
    first = forward(subject, made, *given)
    for a, b in zip(first, forward(subject, made, *given), strict=True):
        if not torch.equal(a, b):
            raise Failed(
                f"{subject.name} gives another output at a second forward in eval mode: keep no "
                "state between forwards but where self.training."
            )


@check(*NETWORKS)
def draws_from_torch_alone(subject: Subject) -> None:
    """In training, what it draws comes from torch's generator, which each step seeds."""
    made, given = network(subject).train(), inputs(subject)
    before = states()
    forward(subject, made, *given)
    after = states()
    for library in ("numpy", "random"):
        if before.get(library) != after.get(library):
            raise Failed(
                f"{subject.name} draws from {library}'s generator in training, which p2ptk does "
                "not seed: use torch.rand and its like."
            )


@check(*NETWORKS)
def batch_of_one(subject: Subject) -> None:
    """In eval mode an output does not depend on what else is in the batch."""
    made, given = network(subject), inputs(subject, batch=2)
    for x in given:
        x[1] = 0.8  # unlike the other in any statistic
    together = forward(subject, made, *given)
    for i in (0, 1):
        alone = forward(subject, made, *(x[i : i + 1] for x in given))
        for a, b in zip(together, alone, strict=True):
            scale = max(float(a.abs().max()), 1.0)
            if not torch.allclose(a[i : i + 1], b, rtol=1e-3, atol=1e-4 * scale):
                raise Failed(
                    f"{subject.name} gives an image in a batch of two another output than alone, "
                    f"in eval mode (by {float((a[i : i + 1] - b).abs().max()):.2g}): let no "
                    "statistic mix the images of a batch there."
                )


def _within(value: Any) -> Iterator[Any]:
    """Tensors and modules in an attribute, and in lists, tuples and dicts in it."""
    if isinstance(value, Tensor | nn.Module):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _within(item)
    elif isinstance(value, dict):
        yield from _within(list(value.values()))
