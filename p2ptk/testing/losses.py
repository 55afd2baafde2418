"""Checks for losses: what they are, and the values that they give."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from p2ptk.step import Term
from p2ptk.testing.common import check
from p2ptk.testing.loss_values import ask, stage_for, value_of
from p2ptk.testing.outcomes import Failed
from p2ptk.testing.stage import sides_of
from p2ptk.testing.subject import Subject


@check("loss", essential=True)
def phases(subject: Subject) -> str:
    """It has `generator(t)`, `discriminator(t)`, or both."""
    loss = subject.build()
    found = sides_of(loss)
    if not found:
        raise Failed(
            f"{subject.name} has neither generator(t) nor discriminator(t): a loss is what one of "
            "them gives."
        )
    every = getattr(loss, "every", 1)
    if not isinstance(every, int) or isinstance(every, bool) or every < 1:
        raise Failed(f"{subject.name} has every = {every!r}: a whole number from 1.")
    trainable = getattr(loss, "trainable", None)
    if trainable not in (None, False, "generator", "discriminator"):
        raise Failed(
            f'{subject.name} has trainable = {trainable!r}: write "generator" or "discriminator", '
            "the side that its parameters train with."
        )
    return " and ".join(side for side, _ in found)


@check("loss")
def module_where_it_holds_networks(subject: Subject) -> None:
    """It is an nn.Module if it holds networks or weights, so that they move to the device."""
    loss = subject.build()
    if isinstance(loss, nn.Module):
        return
    for name, value in vars(loss).items():
        if isinstance(value, nn.Module | Tensor):
            what = "a network" if isinstance(value, nn.Module) else "a tensor"
            raise Failed(
                f"{subject.name} holds {what} in {name!r} but is no nn.Module, so that it stays on "
                "the CPU: derive the class from nn.Module"
                + ("." if isinstance(value, nn.Module) else " and call register_buffer.")
            )


@check("loss", essential=True)
def finite_scalar(subject: Subject) -> str | None:
    """Each phase gives a finite scalar, at batch sizes 1 and 4."""
    said = []
    for count in (1, 4):
        for side, phase in sides_of(subject.build()):
            value = value_of(subject, phase, count=count)
            if not isinstance(value, Tensor) or value.ndim or not value.is_floating_point():
                shown = (
                    f"{tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
                )
                raise Failed(
                    f"{subject.name}.{side} gives {shown}: return a scalar tensor, the mean over "
                    "all values."
                )
            if not value.isfinite():
                raise Failed(f"{subject.name}.{side} gives {value.item()} at batch size {count}.")
            if not value.requires_grad and side == "generator":
                raise Failed(
                    f"{subject.name}.{side} gives a value without a gradient: compute it from "
                    "t.fake or t.judged_fake, without detach, item or torch.no_grad()."
                )
            said.append(f"{side} {value.item():.4g}")
    return ", ".join(said[-len(said) // 2 :])


@check("loss")
def finite_in_half_precision(subject: Subject) -> None:
    """It is finite where the networks compute in bfloat16."""
    for side, phase in sides_of(subject.build()):
        value = value_of(subject, phase, half=True)
        if not value.isfinite():
            raise Failed(
                f"{subject.name}.{side} gives {value.item()} where the discriminator's features "
                "are bfloat16: call .float() on what it takes from them."
            )


@check("loss")
def repeats(subject: Subject) -> None:
    """Asked again with the same translation, it gives the same value."""
    loss = subject.build()
    for side, phase in sides_of(loss):
        first, again = (value_of(subject, phase, loss=loss) for _ in range(2))
        if not torch.equal(first, again):
            raise Failed(
                f"{subject.name}.{side} gives {first.item():.6g}, and {again.item():.6g} when "
                "asked again: draw from t.rng alone, and keep no state between calls."
            )


@check("loss")
def mean_not_sum(subject: Subject) -> None:
    """It is a mean over images and places: a batch of two equal pairs has the value of one."""
    for side, phase in sides_of(subject.build()):
        if not torch.equal(value_of(subject, phase), value_of(subject, phase, seed=1)):
            continue  # each pair draws its own numbers
        one, two = value_of(subject, phase, count=1), value_of(subject, phase, count=1, copies=2)
        if abs(one.item()) > 1e-8 and abs(two.item() / one.item() - 2) < 1e-3:
            raise Failed(
                f"{subject.name}.{side} gives {two.item():.4g} for two equal pairs and "
                f"{one.item():.4g} for one of them, as a sum does: take the mean, so that a weight "
                "means the same at any batch size."
            )
        wide = value_of(subject, phase, count=1, tiles=2)
        if abs(one.item()) > 1e-8 and abs(wide.item() / one.item() - 4) < 0.04:
            raise Failed(
                f"{subject.name}.{side} gives {wide.item():.4g} for an image laid out 2 x 2 and "
                f"{one.item():.4g} for one of them, as a sum over pixels does: take the mean."
            )


@check("loss")
def judges_as_declared(subject: Subject) -> str | None:
    """It asks the discriminator only if it says so, and declares `input_gradients` if it must."""
    loss = subject.build()
    declared = Term("checked", loss).adversarial
    asked = 0
    for side, phase in sides_of(loss):
        stage = stage_for(subject)
        ask(subject, loss, side, stage.translation(phase, loss))
        asked += stage.asked
    if asked and not declared:
        raise Failed(
            f"{subject.name} asks the discriminator but does not say so: declare the class "
            "attribute adversarial = True."
        )
    if declared and not asked:
        return "it is adversarial, and did not ask the discriminator here."
    return None
