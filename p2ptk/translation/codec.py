"""Between pictures and a model's tensors, as its header says."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from p2ptk.components import create
from p2ptk.contracts import Side
from p2ptk.datasets.sides import to_classes
from p2ptk.pairs.pixels import denormalise, normalise, one_hot, resize
from p2ptk.randomness import sample_rng
from p2ptk.translation.pictures import fit_channels, range_of
from p2ptk.weights import ModelHeader

log = logging.getLogger("p2ptk")
Note = Callable[[str], None]
_CORE = ("as", "weight", "every", "stage")


class Codec:
    """Turns pictures into what a model's network takes, and back.

    seed: of the augmentations that make the source from a photo.
    size: height and width that pictures are scaled to first; None leaves them as they are.
    """

    def __init__(
        self,
        header: ModelHeader,
        device: torch.device,
        seed: int = 0,
        size: tuple[int, int] | None = None,
    ) -> None:
        self.header, self.device, self.seed, self.size = header, device, seed, size
        specs = [{k: v for k, v in t.items() if k not in _CORE} for t in header.derive]
        self.derive = [create("augmentation", spec) for spec in specs]

    @property
    def side(self) -> Side:
        """What the pictures given hold: the source, or the photo that the source is made from."""
        return self.header.target if self.derive else self.header.source

    @property
    def channels(self) -> int:
        return self.header.target_channels if self.derive else self.header.source_channels

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
        return self.finish(torch.zeros(1, self.header.target_channels, 1, 1))[0]

    def seen(self, picture: Tensor) -> Tensor:
        """A target picture C H W, or a translation, as the networks see it: for sample sheets."""
        side = self.header.target
        if side.kind == "labels":
            return _seen(to_classes(picture, side, Path("the picture"))[None], side)[0]
        return _seen(picture, replace(side, range=side.range or range_of(picture)))

    def source(self, raw: Tensor, side: Side) -> Tensor:
        """Pictures N C H W as `fit` gives them to the network's source, in [-1, 1]."""
        x = _seen(raw, side).to(self.device)
        photo = x
        for augmentation in self.derive:
            rng = sample_rng(self.seed, "derive")
            params = augmentation.sample([0] * len(x), tuple(x.shape[-2:]), rng)
            params = {name: value.to(self.device) for name, value in params.items()}
            x, _ = augmentation.apply(x, photo, params)
        return x

    def finish(self, image: Tensor) -> Tensor:
        """The network's output N C H W as the target has it; labels in colours if it has them."""
        side = self.header.target
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
