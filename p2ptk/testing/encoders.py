"""Checks for encoders."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

from torch import Tensor, nn

from p2ptk.components import Component, create
from p2ptk.errors import UserError
from p2ptk.plugins import registry
from p2ptk.schema import plain
from p2ptk.specs import Spec
from p2ptk.testing.common import check
from p2ptk.testing.outcomes import Failed, told
from p2ptk.testing.probe import forward, inputs, network, working_size
from p2ptk.testing.subject import Subject

CHANNELS = (1, 2, 4, 5)  # beside the three of the other checks


@check("encoder", essential=True)
def declares_features(subject: Subject) -> None:
    """It declares channels and strides, one for each feature, from fine to coarse."""
    made = network(subject)
    found = _features(subject, made, *inputs(subject))
    channels, strides = _declared(made)
    seen_channels = [x.shape[1] for x in found]
    height = working_size(subject)[0]
    seen_strides = [height // x.shape[2] for x in found]
    advice = f"set self.channels = {seen_channels} and self.strides = {seen_strides}"
    if channels is None or strides is None:
        raise Failed(f"{subject.name} declares no channels and strides: {advice}.")
    if not len(channels) == len(strides) == len(found):
        raise Failed(
            f"{subject.name} declares {len(channels)} channels and {len(strides)} strides, but "
            f"gives {len(found)} features: {advice}."
        )
    if any(fine > coarse for fine, coarse in pairwise(strides)):
        raise Failed(f"{subject.name} has strides {strides}: give features from fine to coarse.")


@check("encoder")
def features(subject: Subject) -> None:
    """Feature i has channels[i] at 1 / strides[i] of the size, also of tall and wide images."""
    made = network(subject)
    channels, strides = _declared(made)
    assert channels is not None
    assert strides is not None
    coarsest = max(strides)
    height, width = (-(-side // coarsest) * coarsest for side in working_size(subject))
    for size in ((height, width), (height + coarsest, width), (height, width + 2 * coarsest)):
        found = _features(subject, made, *inputs(subject, size=size))
        for i, x in enumerate(found):
            if x.shape[1] != channels[i]:
                raise Failed(
                    f"{subject.name} declares channels[{i}] = {channels[i]}, but that feature has "
                    f"{x.shape[1]}: declare channels = {[x.shape[1] for x in found]}."
                )
            expected = (size[0] // strides[i], size[1] // strides[i])
            if tuple(x.shape[2:]) != expected:
                raise Failed(
                    f"{subject.name} declares strides[{i}] = {strides[i]}, but that feature of "
                    f"{size[0]}x{size[1]} pixels has {x.shape[2]}x{x.shape[3]}, not "
                    f"{expected[0]}x{expected[1]}: declare a stride of {size[0] // x.shape[2]}, or "
                    "pad as that stride needs."
                )


@check("encoder")
def channels(subject: Subject) -> None:
    """It takes any number of source channels."""
    for count in CHANNELS:
        made = subject.build(source_channels=count).eval()
        _features(subject, made, *inputs(subject, source_channels=count))


@check("encoder")
def in_unet(subject: Subject) -> None:
    """`unet:encoder=...` can be built on it, and translates."""
    params = plain(subject.fields, subject.params)
    with _named(subject) as name:
        spec = Spec("unet", {"width": 4, "encoder": Spec.of({"name": name, **params})})
        try:
            unet = create("generator", spec, source_channels=3, target_channels=3)
        except UserError as error:
            raise Failed(f"unet can't be built on {subject.name}: {told(error)}.") from error
    multiple = unet.size_multiple
    size = tuple(-(-side // multiple) * multiple for side in working_size(subject))
    given = inputs(subject, size=(size[0], size[1] + multiple))
    try:
        found = unet.eval()(*given)
    except Exception as error:
        raise Failed(f"unet stops on {subject.name}'s features: {told(error)}.") from error
    if found.shape != given[0].shape:
        raise Failed(
            f"unet on {subject.name} gives {tuple(found.shape)} of {tuple(given[0].shape)}."
        )


def _features(subject: Subject, made: nn.Module, *given: Tensor) -> list[Tensor]:
    found = forward(subject, made, *given)
    for i, x in enumerate(found):
        if x.ndim != 4 or len(x) != len(given[0]):
            raise Failed(f"{subject.name}'s feature {i} has shape {tuple(x.shape)}: give N C H W.")
    return found


def _declared(made: nn.Module) -> tuple[list[int] | None, list[int] | None]:
    found = (getattr(made, name, None) for name in ("channels", "strides"))
    channels, strides = (list(x) if isinstance(x, list | tuple) else None for x in found)
    return channels, strides


@contextmanager
def _named(subject: Subject) -> Iterator[str]:
    """A name that `create` finds the encoder by, for the time being."""
    if subject.provided is not None:
        yield subject.provided.qualified
        return
    name = "encoder-under-check"
    registry().add_here("encoder", Component(name, subject.target))
    try:
        yield name
    finally:
        del registry()._here["encoder", name]
