"""Checks for discriminators."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from p2ptk.contracts import Judgement
from p2ptk.testing.common import check
from p2ptk.testing.outcomes import Failed, Warned, told
from p2ptk.testing.probe import CHANNELS, inputs, network, working_size
from p2ptk.testing.sight import WHOLE, seen_by_a_logit
from p2ptk.testing.subject import Subject

GROWN = (1.0, -1.0, 8.0, -8.0, 64.0, -64.0)  # factors of weights and inputs
SPREAD = 0.5  # of [0, 1], which a sigmoid fills as its input grows


@check("discriminator", essential=True)
def judgement(subject: Subject) -> None:
    """It gives Judgement(logits, features): a tuple of N 1 h w, and a tuple of tuples."""
    made = network(subject)
    with torch.no_grad():
        found = made(*inputs(subject))
    if not isinstance(found, Judgement):
        raise Failed(
            f"{subject.name}'s forward gives {type(found).__name__}: return "
            "Judgement(logits=(x,), features=((...),)) of p2ptk."
        )
    logits, features = found
    if not isinstance(logits, tuple) or not logits:
        raise Failed(f"{subject.name}'s logits must be a tuple, one map a scale: (x,) for one.")
    for x in logits:
        if not isinstance(x, Tensor) or x.ndim != 4 or x.shape[:2] != (2, 1):
            shape = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
            raise Failed(
                f"{subject.name} gives logits of {shape} for a batch of 2: each must be N 1 h w, "
                "with h = w = 1 where one logit judges the whole image."
            )
    if not isinstance(features, tuple) or not all(isinstance(scale, tuple) for scale in features):
        raise Failed(
            f"{subject.name}'s features must be a tuple a scale, each a tuple of maps from shallow "
            "to deep: ((...),) for one scale."
        )
    if len(features) != len(logits):
        raise Failed(
            f"{subject.name} gives {len(logits)} maps of logits and {len(features)} scales of "
            "features: there must be as many."
        )
    if not all(isinstance(x, Tensor) and len(x) == 2 for scale in features for x in scale):
        raise Failed(f"{subject.name}'s features must be tensors with the batch first.")


@check("discriminator")
def channels(subject: Subject) -> None:
    """It takes 1, 3, 4 and unequal channels, and tall and wide images."""
    height, width = working_size(subject)
    for source, target in CHANNELS:
        made = subject.build(source_channels=source, target_channels=target).eval()
        size = (height, width + 32) if source > target else (height + 32, width)
        given = inputs(subject, size=size, source_channels=source, target_channels=target)
        _judge(made, *given)


@check("discriminator")
def logits_not_probabilities(subject: Subject) -> None:
    """Its logits are not confined to [0, 1]."""
    low, high = float("inf"), float("-inf")
    for factor in GROWN:
        made = network(subject)
        with torch.no_grad():
            for p in made.parameters():
                p.mul_(factor)
        given = [x * abs(factor) for x in inputs(subject)]
        for x in _judge(made, *given).logits:
            finite = x[x.isfinite()]
            if finite.numel():
                low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    if low >= 0 and high <= 1 and high - low > SPREAD:
        raise Failed(
            f"{subject.name}'s logits stay between 0 and 1 ({low:.3g} to {high:.3g}) however large "
            "its weights are, as probabilities do: leave out the sigmoid, the losses have their "
            "own."
        )


@check("discriminator")
def receptive_field(subject: Subject) -> str:
    """Its `receptive_field` is what a logit sees, as measured by gradients."""
    made = network(subject)
    seen = seen_by_a_logit(subject, made)
    value = None if seen == WHOLE else seen
    pixels = "the whole image" if value is None else f"{value} pixels"
    if not hasattr(made, "receptive_field"):
        raise Failed(
            f"{subject.name} declares no receptive_field, and a logit sees {pixels}: set "
            f"self.receptive_field = {value}."
        )
    declared = made.receptive_field
    if declared != value:
        raise Failed(
            f"{subject.name} declares receptive_field = {declared}, but a logit sees {pixels}: "
            f"declare receptive_field = {value}."
        )
    return f"a logit sees {pixels}."


@check("discriminator")
def conditional(subject: Subject) -> str | None:
    """The source matters, unless it declares `conditional = False`."""
    made = network(subject)
    source, image = inputs(subject)
    other = -source.flip(-1)
    changed = any(
        not torch.equal(a, b)
        for a, b in zip(
            _judge(made, source, image).logits, _judge(made, other, image).logits, strict=True
        )
    )
    declared = subject.params.get("conditional", getattr(made, "conditional", True))
    if declared is False and changed:
        raise Failed(
            f"{subject.name} has conditional = False, but its logits change with the source: leave "
            "the source out of its forward."
        )
    if declared is not False and not changed:
        raise Failed(
            f"{subject.name}'s logits don't depend on the source: join it to the image "
            "(torch.cat([source, image], dim=1)), or declare self.conditional = False."
        )
    return "declared unconditional." if declared is False else None


@check("discriminator")
def gradient_of_the_image(subject: Subject) -> None:
    """A gradient reaches the image, so that a generator can learn; twice, for penalties on it."""
    made = network(subject).train()
    source, image = inputs(subject)
    image.requires_grad_()
    logits = made(source, image).logits
    total = sum((x * torch.randn(x.shape)).sum() for x in logits)
    (slope,) = torch.autograd.grad(total, image, create_graph=True, materialize_grads=True)
    if not slope.isfinite().all() or not slope.any():
        raise Failed(
            f"{subject.name}'s logits give the image no gradient, so no generator can learn from "
            "them: let no detach, rounding or torch.no_grad() come between."
        )
    try:
        slope.square().sum().backward()
    except RuntimeError as error:
        raise Warned(
            f"{subject.name} can't be differentiated twice ({told(error)}): losses such as r1 and "
            "gradient-penalty can't be used with it."
        ) from error


def _judge(made: nn.Module, *given: Tensor) -> Any:
    with torch.no_grad():
        return made(*given)
