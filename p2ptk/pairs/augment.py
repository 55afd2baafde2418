"""Applies augmentations: `derive` and `data` in the feed, `judge` before the discriminator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from p2ptk.components import create
from p2ptk.contracts import RESERVED, STAGES, Judgement, Side
from p2ptk.errors import UserError, did_you_mean
from p2ptk.pairs.pixels import to_device
from p2ptk.randomness import sample_rng
from p2ptk.specs import Spec

Size = tuple[int, int]
Logits = tuple[Tensor, ...]  # of a discriminator's scales


class KeyedAugmentation(Protocol):
    """An augmentation under its key, with the stage that it acts at."""

    @property
    def key(self) -> str: ...

    @property
    def augmentation(self) -> Any: ...

    @property
    def stage(self) -> str: ...


@dataclass(frozen=True)
class Keyed:
    """An augmentation under its key, with the stage that it acts at."""

    key: str
    augmentation: Any
    stage: str


def create_augmentations(specs: Mapping[str, Spec]) -> list[Keyed]:
    """Build augmentations from their specs by key, each for its own stage or the one it is given.

    Raises UserError for a component, parameter or stage that does not exist.
    """
    made = []
    for key, spec in specs.items():
        augmentation = create("augmentation", spec.without(*RESERVED))
        stage = str(spec.params.get("stage", augmentation.stage))
        if stage not in STAGES:
            near = did_you_mean(stage, STAGES)
            raise UserError(f"augmentations.{key}.stage: there is no stage {stage!r}: {near}")
        if stage == "judge" and hasattr(augmentation, "load_size"):
            raise UserError(f"the augmentation {key!r} crops: it can't act at the stage 'judge'.")
        made.append(Keyed(key, augmentation, stage))
    return made


def tell_sides(augmentations: Sequence[KeyedAugmentation], source: Side, target: Side) -> None:
    """Say to augmentations that ask what the sides hold. Raises UserError where one can't serve."""
    for keyed in augmentations:
        if hasattr(keyed.augmentation, "sides"):
            keyed.augmentation.sides(source, target)


def restored(augmentations: Sequence[KeyedAugmentation], source: Tensor, image: Tensor) -> Tensor:
    """A translation, or a target, as a picture of the data: without what `derive` made of it.

    source, image: N C H W, as the networks have them.
    """
    for keyed in reversed(augmentations):
        if keyed.stage == "derive" and hasattr(keyed.augmentation, "restore"):
            image = keyed.augmentation.restore(source, image)
    return image


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
        if self.steps and self.steps[0][0].stage == "derive":
            source = target
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


class Judged:
    """The judge-stage augmentations: what the discriminator sees instead of the plain images."""

    def __init__(
        self,
        augmentations: Sequence[KeyedAugmentation],
        seed: int,
        size: Size,
        device: torch.device,
    ) -> None:
        self.drawing = [
            (a.augmentation, sample_rng(seed, a.key)) for a in augmentations if a.stage == "judge"
        ]
        self.size, self.device = size, device

    def draw(self, numbers: Sequence[int]) -> Drawn | None:
        """One draw for a step, used for every image of both phases; None without any."""
        if not self.drawing:
            return None
        drawn = []
        for augmentation, rng in self.drawing:
            params = augmentation.sample(numbers, self.size, rng)
            on_device = {name: to_device(x, self.device) for name, x in params.items()}
            drawn.append((augmentation, on_device))
        return Drawn(tuple(drawn))


@dataclass(frozen=True)
class Drawn:
    """Judge-stage augmentations with a step's numbers, which lie on the device."""

    steps: tuple[tuple[Any, dict[str, Tensor]], ...]

    def __call__(self, source: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        for augmentation, params in self.steps:
            here = {name: x[: len(image)] for name, x in params.items()}
            source, image = augmentation.apply(source, image, here)
        return source, image

    def part(self, index: int, parts: int) -> Drawn:
        """The numbers of one of so many equal parts of the batch."""

        def cut(x: Tensor) -> Tensor:
            each = len(x) // parts
            return x[index * each : (index + 1) * each]

        return Drawn(tuple((a, {k: cut(x) for k, x in p.items()}) for a, p in self.steps))


def tell_watching(watching: Mapping[str, Any], real: Sequence[Logits]) -> dict[str, Tensor]:
    """Tell augmentations how D judged a step's real images, and give what they note by KEY_NAME.

    real: D's logits of each part of the batch, without a graph; none where D was not asked.
    """
    if not real or not watching:
        return {}
    whole = Judgement(tuple(torch.cat(scale) for scale in zip(*real, strict=True)), ())
    notes = {}
    with torch.no_grad():
        for key, augmentation in watching.items():
            for name, value in augmentation.observe(whole).items():
                notes[f"{key}_{name}"] = value.clone()  # a buffer may change before it is read
    return notes
