"""The pairs of a run: its splits, and what the networks see of each side."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from p2ptk.components import create, resolve
from p2ptk.config import RunConfig
from p2ptk.contracts import Dataset, Side, Split
from p2ptk.datasets.filepairs import FilePairs
from p2ptk.errors import UserError, did_you_mean
from p2ptk.pairs.augment import Keyed, create_augmentations, restored, tell_sides
from p2ptk.pairs.batch import fixed_batch
from p2ptk.pairs.cache import Cache
from p2ptk.pairs.subset import share_of, without_val


@dataclass(frozen=True)
class Data:
    """The pairs of a run, and what the networks see of them after `direction` is applied.

    source_channels, target_channels: of the networks' tensors, after what `derive` makes of them.
    photo_channels: of the pictures that the source is made from, where it is made.
    source_size: height and width of the first source, or photo, as it is.
    cache: where decoded pairs are kept between runs, if anywhere.
    """

    dataset: Dataset
    train: Split
    val: Split
    source: Side
    target: Side
    source_channels: int
    target_channels: int
    source_dtype: torch.dtype
    target_dtype: torch.dtype
    source_size: tuple[int, int]
    augmentations: tuple[Keyed, ...] = ()
    photo_channels: int | None = None
    cache: Cache | None = None

    def restore(self, source: Tensor, image: Tensor) -> Tensor:
        """A translation, or a target, as a picture of the target side: what `derive` undoes."""
        return restored(self.augmentations, source, image)


def build_data(config: RunConfig, dataset: Dataset | None = None) -> Data:
    """Open the dataset, build the augmentations, and look at the first pair.

    Raises UserError for single pictures that nothing makes sources from, and for augmentations
    that do not suit the sides.
    """
    cache = cache_of(config) if dataset is None and config.cache else None
    dataset = dataset or create("dataset", config.data)
    train = share_of(need_split(dataset, "train"), config.train_share)
    val = need_split(dataset, "val")
    augmentations = create_augmentations(config.augmentations)
    derive = [keyed for keyed in augmentations if keyed.stage == "derive"]
    sides = [dataset.a, dataset.b]
    first = train[0]
    tensors = [first.source, first.target]
    if config.direction == "BtoA":
        sides, tensors = sides[::-1], tensors[::-1]
    channels = [side.depth or x.shape[0] for side, x in zip(sides, tensors, strict=True)]
    photo_channels = None
    if derive:
        tell_sides(derive, sides[1], sides[1])
        seen = fixed_batch(
            train,
            [0],
            dataset.a,
            dataset.b,
            direction=config.direction,
            size=config.size,
            augmentations=derive,
            device=torch.device("cpu"),
        )
        photo_channels, channels = channels[1], [seen.source.shape[1], seen.target.shape[1]]
        sides, tensors = [Side(), sides[1]], [tensors[1], tensors[1]]
    elif first.source is first.target:
        raise UserError(
            "the data holds single pictures, so each would be its own translation: name what makes "
            "the source of them, as in -A colorize or -A canny (of the plugin p2ptk-kornia)."
        )
    tell_sides([keyed for keyed in augmentations if keyed.stage != "derive"], *sides)
    return Data(
        dataset=dataset,
        train=train,
        val=val,
        source=sides[0],
        target=sides[1],
        source_channels=channels[0],
        target_channels=channels[1],
        source_dtype=tensors[0].dtype,
        target_dtype=tensors[1].dtype,
        source_size=(tensors[0].shape[-2], tensors[0].shape[-1]),
        augmentations=tuple(augmentations),
        photo_channels=photo_channels,
        cache=cache,
    )


def cache_of(config: RunConfig) -> Cache:
    """The place of the decoded pairs that these parameters of the dataset give."""
    found = resolve("dataset", config.data)
    what = {"dataset": found.spec.table(), "provider": found.provided.provider}
    return Cache(what, str(config.data.params.get("path") or config.data.name))


def need_split(dataset: Dataset, name: str) -> Split:
    """A split by name; where a dataset has no `val`, a seeded tenth of `train` is set aside.

    Raises UserError naming the splits that exist.
    """
    there = dataset.splits()
    # The datasets of files draw their own, by parameters of theirs.
    drawing = "val" not in there and "train" in there and not isinstance(dataset, FilePairs)
    if drawing and name in ("train", "val") and len(dataset.split("train")) > 1:
        train, val = without_val(dataset.split("train"))
        return train if name == "train" else val
    if name not in there:
        raise UserError(f"the data has no split {name!r}: {did_you_mean(name, there)}")
    split = dataset.split(name)
    if not len(split):
        raise UserError(f"the split {name!r} of the data is empty.")
    return split
