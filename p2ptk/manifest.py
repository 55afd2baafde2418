"""What a run is, written down: for its run.toml, its models' headers, and its first lines."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import torch

from p2ptk.build import CORE_KEYS, Parts
from p2ptk.components import resolve
from p2ptk.config import RunConfig
from p2ptk.contracts import Side
from p2ptk.data import Data
from p2ptk.device import choose_precision, describe_device
from p2ptk.layers import listed
from p2ptk.specs import Spec
from p2ptk.weights import ModelHeader

MOST_NAMES = 10_000  # of validation pairs, written to run.toml


def make_header(config: RunConfig, data: Data, parts: Parts, parent: str | None) -> ModelHeader:
    """The header of the model files that this run writes."""
    multiple: Any = getattr(parts.generator, "size_multiple", 1)
    size = config.val_size or config.size
    derive = [a.key for a in parts.augmentations if a.stage == "derive"]
    return ModelHeader(
        generator=config.generator.table(),
        source_channels=data.source_channels,
        target_channels=data.target_channels,
        size=size,
        size_multiple=multiple,
        direction=config.direction,
        source=data.source,
        target=data.target,
        source_dtype=_dtype(data.source_dtype),
        target_dtype=_dtype(data.target_dtype),
        providers=config.providers,
        parent=parent,
        inference_norm=config.inference.norm,
        inference_dropout=config.inference.dropout,
        derive=tuple(listed(key, config.augmentations[key]) for key in derive),
        photo_channels=data.photo_channels,
        trained_on=data_name(config.data),
        pairs=len(data.train),
        aspect=data.source_size[1] / data.source_size[0],
        scale=size[0] / data.source_size[0],
    )


def _dtype(dtype: torch.dtype) -> Any:
    return str(dtype).removeprefix("torch.")


def data_name(spec: Spec) -> str:
    """What the pairs are called: the folder's or file's name, else the dataset's."""
    path = spec.params.get("path") or spec.params.get("root")
    return str(path).rstrip("/\\").replace("\\", "/").rpartition("/")[2] if path else spec.name


def record(
    config: RunConfig, data: Data, device: torch.device, parent: str | None
) -> dict[str, Any]:
    """What was found when the run began; kept in run.toml, not read as options."""
    found: dict[str, Any] = {
        "device": describe_device(device),
        "precision": choose_precision(config.precision, device).name,
        "pairs": len(data.train),
        "pairs_digest": pairs_digest(data),
        "val": list(_names(data.val)[:MOST_NAMES]),
    }
    if parent:
        found["parent"] = parent
    return found


def pairs_digest(data: Data) -> str:
    """A sum over the training pairs' names, so that a resumed run notices other data."""
    names, digest = _names(data.train), hashlib.sha256()
    for start in range(0, len(names), MOST_NAMES):  # all names at once may be much memory
        digest.update(("\n" * bool(start) + "\n".join(names[start : start + MOST_NAMES])).encode())
    return digest.hexdigest()[:16]


def _names(split: Any) -> Sequence[str]:
    names: Sequence[str] | None = getattr(split, "names", None)
    return names if names is not None else [str(len(split))]


def first_lines(
    config: RunConfig, data: Data, parts: Parts, device: torch.device, processes: int = 1
) -> list[str]:
    """The parts that a run resolved to, and which side is translated to which."""
    precision = choose_precision(config.precision, device).name
    lines = [
        f"data: {data_name(config.data)}, {len(data.train)} train and {len(data.val)} val pairs",
        f"source: {_side(config, data, 0)}, target: {_side(config, data, 1)}",
        f"generator: {short('generator', config.generator)} ({count(parts.generator)})",
    ]
    if config.discriminator and parts.discriminator is not None:
        named = short("discriminator", config.discriminator)
        lines.append(f"discriminator: {named} ({count(parts.discriminator)})")
    lines.append("losses: " + ", ".join(short("loss", spec) for spec in config.losses.values()))
    for problem in getattr(data.dataset, "skipped", ()):
        lines.insert(0, f"left out: {problem}")
    if config.augmentations:
        shown = ", ".join(short("augmentation", spec) for spec in config.augmentations.values())
        lines.append(f"augmentations: {shown}")
    each = f"{processes} processes, each " if processes > 1 else ""
    return [*lines, f"device: {each}{describe_device(device)}, {precision}, seed {config.seed}"]


def _side(config: RunConfig, data: Data, which: int) -> str:
    letter = "AB"[which] if config.direction == "AtoB" else "BA"[which]
    side: Side = (data.source, data.target)[which]
    channels = (data.source_channels, data.target_channels)[which]
    dtype = _dtype((data.source_dtype, data.target_dtype)[which])
    shown = f"{channels} channel{'s' * (channels != 1)}"
    if data.photo_channels and which == 0:
        makers = [a.key for a in data.augmentations if a.stage == "derive"]
        return f"made from the target by {', then '.join(makers)} ({shown})"
    if data.photo_channels not in (None, channels):
        shown += f" made from {data.photo_channels}"
    return f"{letter} ({side.kind}, {shown}, {dtype})"


def short(kind: str, spec: Spec) -> str:
    """A spec without the parameters that are at their default."""
    core = {k: v for k, v in spec.params.items() if k in CORE_KEYS}
    return str(resolve(kind, spec.without(*CORE_KEYS)).short.having(**core))


def count(module: torch.nn.Module) -> str:
    """`54.4 M parameters`."""
    number = sum(p.numel() for p in module.parameters())
    return f"{number / 1e6:.1f} M parameters" if number >= 1e5 else f"{number} parameters"
