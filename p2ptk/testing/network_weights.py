"""Checks of the weights of generators, encoders and discriminators."""

from __future__ import annotations

import copy
import random

import numpy as np
import torch
from torch import Tensor, nn

from p2ptk.tensors import load_tensors, save_tensors
from p2ptk.testing.common import check
from p2ptk.testing.outcomes import Failed, told
from p2ptk.testing.probe import forward, inputs, network, outputs
from p2ptk.testing.subject import Subject

NETWORKS = ("generator", "encoder", "discriminator")
NAMED = 3  # parameters that a sentence names


@check(*NETWORKS)
def same_seed_same_weights(subject: Subject) -> None:
    """Built twice from one torch seed, it has the same weights."""
    states = []
    for other in (1, 2):
        torch.manual_seed(0)
        np.random.seed(other)  # noqa: NPY002
        random.seed(other)
        states.append(subject.build().state_dict())
    for name, tensor in states[0].items():
        if not torch.equal(tensor, states[1][name]):
            raise Failed(
                f"{subject.name} has other weights in {name!r} when it is built again from the "
                "same torch seed: draw them from torch's global generator alone."
            )


@check(*NETWORKS)
def gradients(subject: Subject) -> None:
    """Every parameter that requires a gradient receives one."""
    made = network(subject).train()
    named = {name: p for name, p in made.named_parameters() if p.requires_grad}
    if not named:
        if subject.kind == "encoder":
            return
        raise Failed(f"{subject.name} has no parameter that trains: unfreeze some.")
    _backward(subject, made)
    without = [name for name, p in named.items() if p.grad is None]
    if without:
        more = f" and {len(without) - NAMED} more" if len(without) > NAMED else ""
        raise Failed(
            f"{subject.name} has parameters that receive no gradient, "
            f"{', '.join(without[:NAMED])}{more}: remove them, or freeze them with "
            "requires_grad_(False)."
        )


@check(*NETWORKS)
def deep_copy(subject: Subject) -> None:
    """A deep copy works, and shares nothing with the original."""
    made, given = network(subject), inputs(subject)
    try:
        twin = copy.deepcopy(made)
    except Exception as error:
        raise Failed(
            f"{subject.name} can't be copied ({told(error)}): p2ptk keeps an averaged copy; give "
            "up hooks, locks and tensors with a graph among its attributes."
        ) from error
    before = forward(subject, made, *given)
    for a, b in zip(before, forward(subject, twin, *given), strict=True):
        if not torch.equal(a, b):
            raise Failed(f"{subject.name}'s deep copy gives another output than the original.")
    with torch.no_grad():
        for tensor in (*twin.parameters(), *twin.buffers()):
            if tensor.is_floating_point():
                tensor.add_(1.0)
    for a, b in zip(before, forward(subject, made, *given), strict=True):
        if not torch.equal(a, b):
            raise Failed(
                f"{subject.name}'s deep copy is not independent: the original's output changes "
                "with the copy's weights. Look for tensors or functions that both hold."
            )
    after = forward(subject, twin, *given)
    if list(twin.parameters()) and all(map(torch.equal, before, after)):
        raise Failed(
            f"{subject.name}'s deep copy computes with the original's weights: keep no function "
            "among its attributes that holds the module itself."
        )


@check(*NETWORKS)
def safetensors(subject: Subject) -> str | None:
    """Its weights, saved as safetensors and loaded into another one, give the same output."""
    made, given = network(subject), inputs(subject)
    place = subject.folder / "weights.safetensors"
    try:
        save_tensors(place, made.state_dict())
    except Exception as error:
        raise Failed(f"{subject.name}'s weights can't be saved: {told(error)}.") from error
    torch.manual_seed(1)
    other = subject.build().eval()
    try:
        other.load_state_dict(load_tensors(place))
    except Exception as error:
        raise Failed(
            f"{subject.name}'s weights don't load into another one: {told(error)}. Names and "
            "shapes in the state_dict must follow from the parameters alone."
        ) from error
    for name, tensor in made.state_dict().items():
        if not torch.equal(tensor, other.state_dict()[name]):
            raise Failed(f"{subject.name}'s {name!r} is another after saving and loading.")
    for a, b in zip(forward(subject, made, *given), forward(subject, other, *given), strict=True):
        if not torch.equal(a, b):
            raise Failed(
                f"{subject.name} gives another output after its weights are saved and loaded into "
                f"another one: what else decides it{_unsaved(made)} must be a parameter or a "
                "persistent buffer."
            )
    return _shared(made)


@check(*NETWORKS)
def half_precision(subject: Subject) -> str:
    """Outputs and gradients are finite under bfloat16 autocast; outputs in float16 on CUDA."""
    made = network(subject).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        _backward(subject, made, " under bfloat16 autocast")
    for name, p in made.named_parameters():
        if p.grad is not None and not p.grad.isfinite().all():
            raise Failed(
                f"{subject.name}'s gradient of {name!r} is not finite under bfloat16 autocast: "
                "compute sums, norms and exponentials in float32."
            )
    if not torch.cuda.is_available():
        return "bfloat16; float16 needs CUDA."
    made = made.cuda().eval()
    for dtype in (torch.bfloat16, torch.float16):
        with torch.autocast("cuda", dtype=dtype):
            given = [x.cuda() for x in inputs(subject)]
            found = forward(subject, made, *given, when=f"under {dtype} autocast on CUDA")
        if not all(x.isfinite().all() for x in found):
            raise Failed(
                f"{subject.name}'s output is not finite under {dtype} autocast on CUDA: compute "
                "sums, norms and exponentials in float32."
            )
    return "bfloat16, and float16 on CUDA."


def _backward(subject: Subject, made: nn.Module, when: str = "") -> None:
    """Gradients of all outputs; of a discriminator's logits alone."""
    results = outputs(subject, made(*inputs(subject)))
    if subject.kind == "discriminator":
        results = results[: _logits(made, subject)]
    if not all(x.isfinite().all() for x in results):
        raise Failed(f"{subject.name}'s output is not finite{when}.")
    made.zero_grad(set_to_none=True)
    total = sum((x.float() * torch.randn(x.shape)).sum() for x in results)
    assert isinstance(total, Tensor)
    if not any(p.requires_grad for p in made.parameters()):
        return
    if not total.requires_grad:
        raise Failed(f"{subject.name}'s output carries no gradient{when}: drop torch.no_grad().")
    total.backward()


def _logits(made: nn.Module, subject: Subject) -> int:
    with torch.no_grad():
        return len(made(*inputs(subject)).logits)


def _shared(made: nn.Module) -> str | None:
    """A note on tensors that go by two names."""
    names: dict[int, str] = {}
    for name, tensor in made.state_dict(keep_vars=True).items():
        first = names.setdefault(id(tensor), name)
        if first != name:
            return f"{first!r} and {name!r} are one tensor, and are saved twice."
    return None


def _unsaved(made: nn.Module) -> str:
    """Buffers that the state leaves out, as a remark."""
    saved = made.state_dict()
    names = [name for name, _ in made.named_buffers() if name not in saved]
    return f" (perhaps {names[0]!r})" if names else ""
