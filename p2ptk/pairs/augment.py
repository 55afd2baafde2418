"""Applies the augmentations of the feed: `derive` first, then `data`, in the order given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor

from p2ptk.errors import UserError
from p2ptk.pairs.pixels import to_device
from p2ptk.randomness import sample_rng

Size = tuple[int, int]


class KeyedAugmentation(Protocol):
    """An augmentation under its key, with the stage that it acts at."""

    @property
    def key(self) -> str: ...

    @property
    def augmentation(self) -> Any: ...

    @property
    def stage(self) -> str: ...


class Chain:
    """Augmentations in their order, drawn for each sample from (seed, key, sample number).

    load_size: the size that images must have when they come in. Each augmentation with a
        `load_size` of its own takes larger images than it gives, so sizes are found from the end.
    """

    def __init__(self, augmentations: Sequence[KeyedAugmentation], seed: int, size: Size) -> None:
        """Those of other stages are left out. size: (height, width) of what comes out."""
        found = [a for stage in ("derive", "data") for a in augmentations if a.stage == stage]
        self.steps: list[tuple[KeyedAugmentation, Size]] = []
        for keyed in reversed(found):
            self.steps.insert(0, (keyed, size))
            if hasattr(keyed.augmentation, "load_size"):
                height, width = keyed.augmentation.load_size(size)
                size = (int(height), int(width))
        self.load_size = size
        self.rngs = {keyed.key: sample_rng(seed, keyed.key) for keyed, _ in self.steps}

    def __call__(
        self,
        source: Tensor,
        target: Tensor,
        extra: Mapping[str, Tensor],
        numbers: Sequence[int],
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """A batch at `load_size`, changed; extra tensors follow the geometry.

        Raises UserError for an augmentation that crops and can't do so to extra tensors.
        """
        extra = dict(extra)
        for keyed, size in self.steps:
            augmentation = keyed.augmentation
            drawn = augmentation.sample(numbers, size, self.rngs[keyed.key])
            params = {name: to_device(value, source.device) for name, value in drawn.items()}
            source, target = augmentation.apply(source, target, params)
            if not extra:
                continue
            if hasattr(augmentation, "geometry"):
                extra = {k: augmentation.geometry(x, params, True) for k, x in extra.items()}
            elif hasattr(augmentation, "load_size"):
                raise UserError(
                    f"the augmentation {keyed.key!r} can't be used with this data: it crops, but "
                    f"has no `geometry` to crop {', '.join(extra)} with."
                )
        return source, target, extra
