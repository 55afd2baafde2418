"""Checks for losses: what their gradients reach, and what an update with them does."""

from __future__ import annotations

import torch
from torch import nn

from p2ptk.losses.l1 import L1Loss
from p2ptk.step import Term
from p2ptk.testing.common import check
from p2ptk.testing.kept import Kept
from p2ptk.testing.loss_values import SIDES, ask, stage_for
from p2ptk.testing.outcomes import Failed, Skipped
from p2ptk.testing.stage import Stage, sides_of
from p2ptk.testing.subject import Subject


@check("loss")
def gradient_of_the_generator(subject: Subject) -> None:
    """A generator's term reaches the generator, and neither the discriminator nor the data."""
    stage, loss = stage_for(subject), subject.build()
    if not hasattr(loss, "generator"):
        raise Skipped("it has no generator's term.")
    t = stage.translation("G", loss)
    ask(subject, loss, "generator", t).backward()
    grads = [p.grad for p in stage.generator.parameters()]
    if all(g is None or not g.any() for g in grads):
        raise Failed(
            f"{subject.name}.generator gives the generator no gradient: compute it from t.fake or "
            "t.judged_fake, without detach or torch.no_grad()."
        )
    if not all(g.isfinite().all() for g in grads if g is not None):
        raise Failed(f"{subject.name}.generator gives the generator a gradient that is not finite.")
    if any(p.grad is not None for p in stage.discriminator.parameters()):
        raise Failed(
            f"{subject.name}.generator gives the discriminator a gradient: leave requires_grad of "
            "its parameters as it is."
        )
    for name in ("source", "target"):
        x = getattr(t, name)
        if x.requires_grad or x.grad is not None:
            raise Failed(
                f"{subject.name}.generator lets a gradient reach t.{name}: take t.{name}.detach() "
                "where it needs one that requires a gradient."
            )


@check("loss")
def gradient_of_the_discriminator(subject: Subject) -> None:
    """A discriminator's term reaches the discriminator, and not the generator."""
    stage, loss = stage_for(subject), subject.build()
    if not hasattr(loss, "discriminator"):
        raise Skipped("it has no discriminator's term.")
    if getattr(loss, "trainable", None):
        raise Skipped("it trains parameters of its own.")
    value = ask(subject, loss, "discriminator", stage.translation("D", loss))
    if not value.requires_grad:
        raise Failed(
            f"{subject.name}.discriminator gives a value without a gradient: compute it from "
            "t.judged_real, t.judged_fake or t.judge(...), without detach or torch.no_grad()."
        )
    value.backward()
    if any(p.grad is not None for p in stage.generator.parameters()):
        raise Failed(
            f"{subject.name}.discriminator reaches the generator's graph: use t.fake, which is "
            "detached, and don't call t.generator without torch.no_grad()."
        )
    grads = [p.grad for p in stage.discriminator.parameters()]
    if all(g is None or not g.any() for g in grads):
        raise Failed(
            f"{subject.name}.discriminator gives the discriminator no gradient: compute it from "
            "t.judged_real, t.judged_fake or t.judge(...)."
        )
    if not all(g.isfinite().all() for g in grads if g is not None):
        raise Failed(f"{subject.name}.discriminator gives a gradient that is not finite.")


@check("loss")
def weight_zero(subject: Subject) -> None:
    """With weight 0 it has no effect on an update."""
    l1 = Term("l1", L1Loss(), 1.0)
    _, without = Stage(SIDES[0], 2, {}).step([l1])
    loss = subject.build()
    term = Term("checked", loss, 0.0, getattr(loss, "every", 1))
    _, with_it = Stage(SIDES[0], 2, {}).step([l1, term])
    for name, tensor in without.items():
        if not torch.equal(tensor, with_it[name]):
            raise Failed(f"{subject.name} changes {name!r} in an update although its weight is 0.")


@check("loss")
def real_step(subject: Subject) -> str:
    """With weight 1 an update comes through, and its loss is finite."""
    loss = subject.build()
    if isinstance(loss, nn.Module) and not getattr(loss, "trainable", None):
        loss.eval().requires_grad_(False)
    term = Term("checked", loss, 1.0, getattr(loss, "every", 1))
    scalars, state = stage_for(subject).step([term])
    if not scalars["finite"]:
        raise Failed(f"{subject.name} gives an update a loss that is not finite.")
    for name, tensor in state.items():
        if not tensor.isfinite().all():
            raise Failed(
                f"{subject.name} leaves {name!r} with values that are not finite after an update: "
                "mind roots and divisions where their gradient is infinite."
            )
    found = {k: v.item() for k, v in scalars.items() if k != "finite"}
    return ", ".join(f"{name} {value:.4g}" for name, value in found.items())


@check("loss")
def leaves_the_rest(subject: Subject) -> None:
    """It changes neither what it is given, nor the networks, nor the global generators."""
    for side, phase in sides_of(subject.build()):
        stage, loss = stage_for(subject), subject.build()
        t = stage.translation(phase, loss)
        given = {"source": t.source, "target": t.target, "fake": t.fake, **t.extra}
        weights = {
            f"{name}'s {k}": p
            for name in ("generator", "discriminator")
            for k, p in getattr(stage, name).named_parameters()
        }
        kept, trained, drawn = Kept(given), Kept(weights), torch.get_rng_state()
        ask(subject, loss, side, t)
        if name := kept.changed():
            raise Failed(
                f"{subject.name}.{side} changes t.{name} in place: other losses read it too; use "
                "operations that give a new tensor."
            )
        if name := trained.changed():
            raise Failed(f"{subject.name}.{side} changes the {name}.")
        if not torch.equal(drawn, torch.get_rng_state()):
            raise Failed(
                f"{subject.name}.{side} draws from torch's global generator: pass generator=t.rng."
            )
