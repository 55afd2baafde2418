"""How a loss is asked for a value."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from p2ptk.errors import P2ptkError
from p2ptk.step import Phase
from p2ptk.testing.outcomes import Failed, told
from p2ptk.testing.stage import Stage, sides_of
from p2ptk.testing.subject import Subject

SIDES = (64, 128, 192, 256)  # pixels, tried in turn


def stage_for(subject: Subject, count: int = 2) -> Stage:
    return Stage(side_for(subject), count, subject.extra)


def side_for(subject: Subject) -> int:
    """The smallest of `SIDES` that the loss takes."""

    def find() -> int:
        for side in SIDES[:-1]:
            try:
                loss = subject.build()
                for name, phase in sides_of(loss):
                    t = Stage(side, 1, subject.extra).translation(phase, loss)
                    getattr(loss, name)(t)
                return side
            except P2ptkError:  # such as: needs images of 176 pixels
                continue
            except Exception:
                return side  # the checks tell
        return SIDES[-1]

    return subject.once("side", find)


def value_of(
    subject: Subject,
    phase: Phase,
    *,
    loss: Any = None,
    count: int = 2,
    copies: int = 1,
    tiles: int = 1,
    seed: int = 0,
    half: bool = False,
) -> Any:
    """The loss of a phase, on a new stage."""
    loss = subject.build() if loss is None else loss
    stage = stage_for(subject, count)
    if isinstance(loss, nn.Module) and not getattr(loss, "trainable", None):
        loss.eval().requires_grad_(False)

    def laid_out(x: Tensor) -> Tensor:
        return x.repeat(copies, 1, tiles, tiles)

    stage.source, stage.target = laid_out(stage.source), laid_out(stage.target)
    stage.extra = {name: laid_out(x) for name, x in stage.extra.items()}
    side = "generator" if phase == "G" else "discriminator"
    return ask(subject, loss, side, stage.translation(phase, loss, seed=seed, half=half))


def ask(subject: Subject, loss: Any, side: str, t: Any) -> Any:
    """One term. Raises Failed where it stops, with what to declare where that is known."""
    if isinstance(loss, nn.Module) and not getattr(loss, "trainable", None):
        loss.eval().requires_grad_(False)
    try:
        return getattr(loss, side)(t)
    except KeyError as error:
        raise Failed(
            f"{subject.name}.{side} stops with {told(error)}: if that is an extra tensor, name its "
            "channels, conformance(..., extra={'mask': 1})."
        ) from error
    except RuntimeError as error:
        declared = getattr(loss, "input_gradients", False)
        if "does not require grad" in str(error) and side == "discriminator" and not declared:
            raise Failed(
                f"{subject.name} differentiates the discriminator by its input: declare the class "
                "attribute input_gradients = True."
            ) from error
        raise
