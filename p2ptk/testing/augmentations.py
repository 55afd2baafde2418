"""Checks for augmentations: what they draw, and what they do with it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from p2ptk.contracts import STAGES, Judgement, Side
from p2ptk.errors import UserError
from p2ptk.testing.common import check
from p2ptk.testing.kept import Kept
from p2ptk.testing.numbers import moved_by
from p2ptk.testing.outcomes import Failed, Skipped, told
from p2ptk.testing.scene import SIZE, Scene, apply, draw, numbers_of, started, tell
from p2ptk.testing.subject import Subject

CHANNELS = ((1, 1), (3, 3), (4, 4), (1, 3), (5, 2))  # source and target
SLACK = 1e-4  # beyond [-1, 1], for rounding


@check("augmentation", essential=True)
def stage(subject: Subject) -> str:
    """Its `stage` is derive, data or judge."""
    made = subject.build()
    found = getattr(made, "stage", None)
    if found not in STAGES:
        raise Failed(
            f"{subject.name} has stage = {found!r}: declare one of {', '.join(map(repr, STAGES))}."
        )
    if found == "judge" and hasattr(made, "load_size"):
        raise Failed(
            f"{subject.name} acts at the judge stage and has load_size: what the discriminator "
            "sees keeps its size, so leave load_size out."
        )
    state = getattr(made, "state", None)
    if state is not None and not isinstance(state, nn.Module):
        raise Failed(
            f"{subject.name} has a `state` of {type(state).__name__}: make it an nn.Module with "
            "buffers, so that it moves to the device and into checkpoints."
        )
    return str(found)


@check("augmentation", essential=True)
def draws(subject: Subject) -> None:
    """sample() gives a dict of CPU tensors, a row a sample."""
    numbers = numbers_of(4)
    found = draw(subject, started(subject), numbers)
    if not isinstance(found, dict):
        raise Failed(f"{subject.name}.sample gives {type(found).__name__}: give a dict of tensors.")
    for name, value in found.items():
        if not isinstance(value, Tensor):
            raise Failed(
                f"{subject.name}.sample gives {name!r} as {type(value).__name__}: make it a tensor "
                "with a row a sample."
            )
        if value.device.type != "cpu":
            raise Failed(
                f"{subject.name}.sample gives {name!r} on {value.device}: leave it on CPU."
            )
        if value.ndim < 1 or len(value) != len(numbers):
            raise Failed(
                f"{subject.name}.sample gives {name!r} of shape {tuple(value.shape)} for "
                f"{len(numbers)} samples: its first dimension must count samples."
            )


@check("augmentation")
def draws_by_sample_number(subject: Subject) -> None:
    """What a sample draws follows from its number: not from the batch, nor from earlier draws."""
    made = started(subject)
    together = draw(subject, made, numbers_of(4))
    for number in (2, 0, 3, 1):
        alone = draw(subject, made, [number])
        for name, value in together.items():
            if alone[name].shape[1:] != value.shape[1:] or not torch.equal(
                alone[name][0], value[number]
            ):
                raise Failed(
                    f"{subject.name}.sample draws another {name!r} for sample {number} alone than "
                    "in a batch of four: for each number n draw from rng(n), always as often."
                )


@check("augmentation")
def global_numbers_untouched(subject: Subject) -> None:
    """Neither sample() nor apply() draws from a global generator."""
    made = started(subject)
    library = moved_by(lambda: draw(subject, made, numbers_of(4)))
    if library:
        raise Failed(
            f"{subject.name}.sample draws from {library}'s global generator: pass generator=rng(n)."
        )
    scene = Scene.of(subject, made)
    library = moved_by(lambda: apply(subject, made, scene))
    if library:
        raise Failed(
            f"{subject.name}.apply draws from {library}'s global generator: draw in sample, and "
            "use `params` (a library that draws by itself: under torch.random.fork_rng, with "
            "explicit parameters)."
        )


@check("augmentation", essential=True)
def images(subject: Subject) -> str:
    """apply() gives finite float32 images of the size asked for, in [-1, 1] but at stage judge."""
    made = started(subject)
    scene = Scene.of(subject, made)
    source, target = apply(subject, made, scene)
    for side, before, after in (("source", scene.source, source), ("target", scene.target, target)):
        if after.dtype != torch.float32 or len(after) != len(before) or after.ndim != 4:
            raise Failed(
                f"{subject.name}.apply gives a {side} of {tuple(after.shape)}, {after.dtype}: it "
                "must stay N C H W and float32."
            )
        if tuple(after.shape[-2:]) != SIZE:
            loads = "its load_size is asked for" if scene.loaded != SIZE else "sizes must stay"
            shape = "x".join(map(str, after.shape[-2:]))
            raise Failed(
                f"{subject.name}.apply gives a {side} of {shape} pixels where {SIZE[0]}x{SIZE[1]} "
                f"are wanted ({loads})."
            )
        free = made.stage == "derive" and (side == "source" or hasattr(made, "restore"))
        if after.shape[1] != before.shape[1] and not free:
            raise Failed(
                f"{subject.name}.apply changes the {side}'s channels from {before.shape[1]} to "
                f"{after.shape[1]}: only stage derive may, and the target's only with `restore`."
            )
        if not after.isfinite().all():
            raise Failed(f"{subject.name}.apply gives a {side} that is not finite.")
        largest = float(after.abs().max())
        if made.stage != "judge" and largest > 1 + SLACK:
            raise Failed(
                f"{subject.name}.apply gives a {side} with values up to {largest:.4g}: clamp it to "
                "[-1, 1]."
            )
    return f"{scene.loaded[0]}x{scene.loaded[1]} to {SIZE[0]}x{SIZE[1]} pixels."


@check("augmentation")
def pure(subject: Subject) -> None:
    """apply() changes nothing that it is given, and gives the same again."""
    made = started(subject)
    scene = Scene.of(subject, made)
    params = {f"params[{k!r}]": x for k, x in scene.params.items()}
    kept = Kept({"source": scene.source, "target": scene.target, **params})
    first = apply(subject, made, scene)
    if name := kept.changed():
        raise Failed(
            f"{subject.name}.apply changes {name} in place: use operations that give a new tensor."
        )
    for x, again in zip(first, apply(subject, made, scene), strict=True):
        if not torch.equal(x, again):
            raise Failed(
                f"{subject.name}.apply gives other images when called again with the same "
                "parameters: let all that is random be in `params`."
            )


@check("augmentation")
def samples_apart(subject: Subject) -> None:
    """What becomes of a sample does not depend on the others in its batch."""
    made = started(subject)
    scene = Scene.of(subject, made)
    together = apply(subject, made, scene)
    for i in range(len(scene.source)):
        alone = apply(subject, made, scene.part(i))
        for side, x, one in zip(("source", "target"), together, alone, strict=True):
            if not torch.allclose(x[i : i + 1], one, rtol=1e-4, atol=1e-4):
                raise Failed(
                    f"{subject.name}.apply makes another {side} of sample {i} alone than in a "
                    f"batch of {len(scene.source)}: treat each row by its own parameters and "
                    "statistics."
                )


@check("augmentation")
def channels(subject: Subject) -> str | None:
    """It works for 1, 3, 4 and unequal channels, or refuses with a UserError."""
    refused = []
    for counts in CHANNELS:
        made = subject.build()
        try:
            tell(made, Side(), Side())
            apply(subject, made, Scene.of(subject, made, channels=counts))
        except UserError:
            refused.append(f"{counts[0]} to {counts[1]}")
        except Exception as error:
            raise Failed(
                f"{subject.name} stops on {counts[0]} source and {counts[1]} target channels: "
                f"{told(error)}. Work with any number, or raise UserError where it has no meaning."
            ) from error
    return f"it refuses {', '.join(refused)} channels." if refused else None


@check("augmentation")
def differentiable(subject: Subject) -> None:
    """At stage judge a gradient comes through to the image."""
    made = started(subject)
    if made.stage != "judge":
        raise Skipped(f"it acts at stage {made.stage}.")
    scene = Scene.of(subject, made)
    image = scene.target.clone().requires_grad_()
    _, seen = made.apply(scene.source, image, dict(scene.params))
    advice = "let no detach, rounding or torch.no_grad() come between"
    if not seen.requires_grad:
        raise Failed(f"{subject.name}.apply gives the image no gradient: {advice}.")
    (slope,) = torch.autograd.grad((seen * torch.randn(seen.shape)).sum(), image)
    if not slope.any():
        raise Failed(f"{subject.name}.apply gives the image a gradient of zero: {advice}.")
    if not slope.isfinite().all():
        raise Failed(f"{subject.name}.apply gives the image a gradient that is not finite.")


@check("augmentation")
def observes(subject: Subject) -> str | None:
    """`observe(judged_real)` takes logits and gives a dict of scalars."""
    made = started(subject)
    if not hasattr(made, "observe"):
        raise Skipped("it has no `observe`.")
    judged = Judgement((torch.randn(4, 1, 6, 6), torch.randn(4, 1, 3, 3)), ())
    with torch.no_grad():
        found: Any = made.observe(judged)
    if not isinstance(found, dict) or not all(
        isinstance(v, Tensor) and v.numel() == 1 for v in found.values()
    ):
        raise Failed(f"{subject.name}.observe gives {found!r}: give a dict of scalar tensors.")
    return ", ".join(found)
