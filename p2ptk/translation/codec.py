"""Between pictures and a model's tensors, as its header says."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from p2ptk.contracts import Side
from p2ptk.datasets.sides import to_classes
from p2ptk.errors import P2ptkError, UserError
from p2ptk.layers import keyed
from p2ptk.pairs.augment import Chain, Keyed, create_augmentations, restored, tell_sides
from p2ptk.pairs.pixels import denormalise, normalise, one_hot, resize
from p2ptk.specs import Spec
from p2ptk.translation.pictures import fit_channels, range_of
from p2ptk.weights import ModelHeader, missing_providers

log = logging.getLogger("p2ptk")
Note = Callable[[str], None]


class Codec:
    """Turns pictures into what a model's network takes, and back.

    seed: of the augmentations that make the source from a photo.
    size: height and width that pictures are scaled to first; None leaves them as they are.
    derive: whether pictures are photos that the model's own augmentations make the source from,
        where it has any; otherwise they are sources already, such as drawings.
    """

    def __init__(
        self,
        header: ModelHeader,
        device: torch.device,
        seed: int = 0,
        size: tuple[int, int] | None = None,
        derive: bool = True,
    ) -> None:
        self.header, self.device, self.seed, self.size = header, device, seed, size
        self.augmentations = _derived_by(header)
        self.derives = derive and bool(self.augmentations)

    @property
    def side(self) -> Side:
        """What the pictures given hold: the source, or the photo that the source is made from."""
        return self.header.target if self.derives else self.header.source

    @property
    def channels(self) -> int:
        header = self.header
        if self.derives:
            return header.photo_channels or header.target_channels
        return header.source_channels

    def fit(self, picture: Tensor, note: Note = log.info) -> tuple[Tensor, Side]:
        """A picture C H W with the channels the model takes, and what its numbers mean.

        Label maps become class numbers 1 H W, whether they came as numbers or as colours. Deep
        integers become float32, which every operation knows, with their range.
        """
        side = self.side
        if side.kind == "labels":
            numbers = to_classes(picture, side, Path("the picture"))
            return (resize(numbers[None], self.size, True)[0] if self.size else numbers), side
        picture, done = fit_channels(picture, side, self.channels)
        if done:
            note(done)
        side = replace(side, range=side.range or range_of(picture))
        if self.size and tuple(picture.shape[-2:]) != tuple(self.size):
            scaled = resize(normalise(picture[None], side), self.size)[0]
            return scaled, replace(side, range=(-1.0, 1.0))
        return (picture if picture.dtype == torch.uint8 else picture.float()), side

    @cached_property
    def blank(self) -> Tensor:
        """A translation of one pixel: its channels and dtype are those of all."""
        source, image = (
            torch.zeros(1, count, 1, 1)
            for count in (self.header.source_channels, self.header.target_channels)
        )
        return self.finish(image, source)[0]

    def seen(self, picture: Tensor) -> Tensor:
        """A target picture C H W, or a translation, as the networks see it: for sample sheets."""
        side = self.header.target
        if side.kind == "labels":
            return _seen(to_classes(picture, side, Path("the picture"))[None], side)[0]
        return _seen(picture, replace(side, range=side.range or range_of(picture)))

    def source(self, raw: Tensor, side: Side) -> Tensor:
        """Pictures N C H W as `fit` gives them to the network's source, in [-1, 1]."""
        x = _seen(raw, side).to(self.device)
        if not self.derives:
            return x
        height, width = x.shape[-2:]
        chain = Chain(self.augmentations, self.seed, (height, width))
        # Each picture is sample 0, so that what is drawn for it does not depend on the others.
        return chain(x, x, {}, [0] * len(x))[0]

    def restore(self, source: Tensor, image: Tensor) -> Tensor:
        """The network's output as a picture of the target side, in [-1, 1]."""
        return restored(self.augmentations, source, image)

    def finish(self, image: Tensor, source: Tensor | None) -> Tensor:
        """The network's output N C H W as the target has it; labels in colours if it has them.

        source: what the network was given for it, of the same height and width; only models with
            `augmentations` need it.
        """
        side = self.header.target
        if source is not None:
            image = self.restore(source.to(image.device), image)
        if side.kind != "labels":
            return denormalise(image, side, getattr(torch, self.header.target_dtype))
        if side.palette:
            colours = torch.tensor(side.palette, dtype=torch.uint8)
            return colours[image.argmax(1)].permute(0, 3, 1, 2).contiguous()
        small = (side.depth or 0) <= 256
        return denormalise(image, side, torch.uint8 if small else torch.uint16)


def _seen(raw: Tensor, side: Side) -> Tensor:
    """A side's numbers N C H W as the networks see them."""
    if side.kind == "labels":
        return one_hot(raw, side.depth or 1)
    return normalise(raw, side)


def _derived_by(header: ModelHeader) -> list[Keyed]:
    """The augmentations that make a model's source. Raises UserError naming a plugin to install."""
    if not header.derive:
        return []
    specs = {
        key: Spec.of({**table, "stage": "derive"}) for key, table in keyed(header.derive).items()
    }
    needed = {f"augmentation/{spec.name}" for spec in specs.values()}
    try:
        augmentations = create_augmentations(specs)
    except P2ptkError as error:
        missing = missing_providers({k: v for k, v in header.providers.items() if k in needed})
        if missing:
            raise UserError(
                f"to make its source from a photo, the model needs {missing[0]}."
            ) from error
        raise
    tell_sides(augmentations, header.target, header.target)
    return augmentations
