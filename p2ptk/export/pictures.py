"""A generator with its normalisation inside: pictures in, pictures out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.func import functional_call

from p2ptk.contracts import Side
from p2ptk.export.noise import Seed, seeded
from p2ptk.inference import has_noise
from p2ptk.pairs.augment import KeyedAugmentation, restored
from p2ptk.pairs.pixels import denormalise, normalise, one_hot
from p2ptk.weights import ModelHeader

LEAST_HALF = 1024  # numbers of a tensor from which on half precision saves anything


class Pictures(nn.Module):
    """Pictures N C H W to pictures N C H W, as an exported file takes and gives them.

    Colours and grey are float32 in 0..1; `values` with a range are in their own units; labels are
    class numbers N 1 H W, uint8, or int32 of more than 256 classes.

    generator: made by `load_generator`; where its dropout is active, `forward` takes a seed, int64
        of one number, and is a function of it.
    augmentations: that made the source in training; those that can turn a translation back into a
        picture do so. The source itself is what is taken.
    half: keep weights as float16, to be widened before they are used.
    """

    def __init__(
        self,
        generator: nn.Module,
        header: ModelHeader,
        augmentations: Sequence[KeyedAugmentation] = (),
        *,
        half: bool = False,
    ) -> None:
        super().__init__()
        self.source_side, self.image_side = taken(header.source), taken(header.target)
        self.augmentations = tuple(augmentations)
        self.seed: Seed | None = None
        if has_noise(generator):
            generator, self.seed = seeded(generator)
        self.names: list[str] = []
        if half:
            # Not a submodule: its own tensors in float32 would be exported beside these.
            self.__dict__["generator"] = generator
            tensors = {**dict(generator.named_parameters()), **dict(generator.named_buffers())}
            for name, tensor in tensors.items():
                large = tensor.dtype == torch.float32 and tensor.numel() >= LEAST_HALF
                kept = tensor.detach().half() if large else tensor.detach()
                self.register_buffer(f"weight_{len(self.names)}", kept)
                self.names.append(name)
        else:
            self.generator = generator

    def forward(self, source: Tensor, seed: Tensor | None = None) -> Tensor:
        if self.seed is not None and seed is not None:
            self.seed.value = seed
        x = as_seen(source, self.source_side)
        image = restored(self.augmentations, x, self._generate(x))
        return as_given(image, self.image_side)

    def _generate(self, x: Tensor) -> Tensor:
        if not self.names:
            image: Tensor = self.generator(x)
            return image
        kept = [getattr(self, f"weight_{number}") for number in range(len(self.names))]
        wide = [w.float() if w.dtype == torch.float16 else w for w in kept]
        made: Tensor = functional_call(
            self.generator, dict(zip(self.names, wide, strict=True)), (x,)
        )
        return made


def taken(side: Side) -> Side:
    """A side as an exported file has it: with a range of its own only for values."""
    if side.kind == "labels":
        return side
    own = side.range if side.kind == "values" else None
    return replace(side, range=own or (0.0, 1.0))


def dtype_of(side: Side) -> torch.dtype:
    """Of a side's pictures in an exported file."""
    if side.kind != "labels":
        return torch.float32
    return torch.uint8 if (side.depth or 0) <= 256 else torch.int32


def as_seen(pictures: Tensor, side: Side) -> Tensor:
    """Pictures as an exported file takes them to what the networks see."""
    if side.kind == "labels":
        return one_hot(pictures, side.depth or 1)
    return normalise(pictures, side)


def as_given(image: Tensor, side: Side) -> Tensor:
    """What the networks see to pictures as an exported file gives them."""
    return denormalise(image, side, dtype_of(side))
