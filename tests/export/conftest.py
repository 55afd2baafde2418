"""Model files with random weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from p2ptk.components import create
from p2ptk.contracts import Side
from p2ptk.specs import Spec
from p2ptk.weights import ModelHeader, save_generator

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write a model: make("unet:depth=3", source=Side(...), inference_norm="image") -> its path."""

    def write(
        spec: str, source: Side | None = None, target: Side | None = None, **header: Any
    ) -> Path:
        source, target = source or Side(), target or Side()
        channels = {"source_channels": source.depth or 3, "target_channels": target.depth or 3}
        with torch.random.fork_rng():
            torch.manual_seed(0)
            module = create("generator", spec, **channels)
        multiple = module.size_multiple
        about = {"size": max(16, multiple), "size_multiple": multiple, **header}
        path = tmp_path / "model.safetensors"
        save_generator(
            path,
            module,
            ModelHeader(
                generator=Spec.parse(spec).table(),
                source=source,
                target=target,
                **channels,
                **about,
            ),
        )
        return path

    return write
