"""The pairs of a run: its splits, and what the networks see of each side."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from p2ptk.components import create
from p2ptk.config import RunConfig
from p2ptk.contracts import Dataset, Side, Split
from p2ptk.errors import UserError, did_you_mean


@dataclass(frozen=True)
class Data:
    """The pairs of a run, and what the networks see of them after `direction` is applied."""

    dataset: Dataset
    train: Split
    val: Split
    source: Side
    target: Side
    source_channels: int
    target_channels: int
    source_dtype: torch.dtype
    target_dtype: torch.dtype
    source_size: tuple[int, int]  # height and width of the first source, as it is


def build_data(config: RunConfig, dataset: Dataset | None = None) -> Data:
    """Open the dataset and look at its first pair."""
    dataset = dataset or create("dataset", config.data)
    train, val = need_split(dataset, "train"), need_split(dataset, "val")
    sides = [dataset.a, dataset.b]
    first = train[0]
    tensors = [first.source, first.target]
    if config.direction == "BtoA":
        sides, tensors = sides[::-1], tensors[::-1]
    channels = [side.depth or x.shape[0] for side, x in zip(sides, tensors, strict=True)]
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
    )


def need_split(dataset: Dataset, name: str) -> Split:
    """A split by name. Raises UserError naming those that exist."""
    if name not in dataset.splits():
        raise UserError(f"the data has no split {name!r}: {did_you_mean(name, dataset.splits())}")
    split = dataset.split(name)
    if not len(split):
        raise UserError(f"the split {name!r} of the data is empty.")
    return split
