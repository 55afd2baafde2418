"""A batch on the device, and how decoded pairs become one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from p2ptk.contracts import Side, Split
from p2ptk.errors import UserError
from p2ptk.pairs.augment import Chain, KeyedAugmentation, Size
from p2ptk.pairs.decode import Decoded, collate, decode_all
from p2ptk.pairs.pixels import as_input, to_device
from p2ptk.pairs.store import Images, fit_images

Direction = Literal["AtoB", "BtoA"]


@dataclass(frozen=True)
class Batch:
    """What one step sees. source, target: N C H W; extra: N C H W each, in their own numbers.

    names: of the pairs. numbers: of the samples, counted over the whole run.
    """

    source: Tensor
    target: Tensor
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.source)

    def split(self, parts: int) -> list[Batch]:
        """Equal parts in order. Raises UserError where the batch does not divide."""
        if parts == 1:
            return [self]
        each, rest = divmod(len(self), parts)
        if rest or not each:
            raise UserError(f"a batch of {len(self)} can't be split into {parts} equal parts.")
        cuts = [slice(i * each, (i + 1) * each) for i in range(parts)]
        return [
            Batch(
                self.source[cut],
                self.target[cut],
                {key: x[cut] for key, x in self.extra.items()},
                self.names[cut],
                self.numbers[cut],
            )
            for cut in cuts
        ]


class Fitted(NamedTuple):
    """Pairs on the device, at one size; labels still as class numbers."""

    a: Tensor
    b: Tensor
    extra: dict[str, Tensor]
    names: tuple[str, ...]


def fit_decoded(
    decoded: Decoded, a: Side, b: Side, size: Size | None, device: torch.device
) -> Fitted:
    """Decoded pairs to the device and to one size. size: None keeps the one that all have."""

    def fitted(images: Images, side: Side | None) -> Tensor:
        if isinstance(images, Tensor):
            moved: Images = to_device(images, device)
        elif size is None:
            raise UserError("pairs of different sizes don't make a batch: give a size.")
        else:
            moved = [to_device(image, device) for image in images]
        height, width = size or moved[0].shape[-2:]
        return fit_images(moved, side, (height, width))

    extra = {key: fitted(images, None) for key, images in decoded.extra.items()}
    return Fitted(fitted(decoded.a, a), fitted(decoded.b, b), extra, decoded.names)


def source_and_target(
    fitted: Fitted, a: Side, b: Side, direction: Direction
) -> tuple[Tensor, Tensor]:
    """Both sides as the networks see them; B is the source where the direction says so."""
    sides = as_input(fitted.a, a), as_input(fitted.b, b)
    return sides if direction == "AtoB" else sides[::-1]


def fixed_batch(
    split: Split,
    indices: Sequence[int],
    a: Side,
    b: Side,
    *,
    direction: Direction,
    size: Size | None,
    device: torch.device,
    augmentations: Sequence[KeyedAugmentation] = (),
    seed: int = 0,
    workers: int | None = None,
) -> Batch:
    """These pairs, for sample sheets and validation: resized to `size` and not augmented.

    size: (height, width), or None where all have one size already. augmentations: only those that
    derive the source from the target are applied; their sample numbers are the indices.
    """
    decoded = collate(decode_all(split, indices, workers))
    fitted = fit_decoded(decoded, a, b, size, device)
    source, target = source_and_target(fitted, a, b, direction)
    height, width = target.shape[-2:]
    derive = [keyed for keyed in augmentations if keyed.stage == "derive"]
    chain = Chain(derive, seed, (height, width))
    source, target, extra = chain(source, target, fitted.extra, indices)
    return Batch(source, target, extra, fitted.names, tuple(indices))
