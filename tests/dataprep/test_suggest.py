"""Suggested commands parse, and their sizes suit the generators they name."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import torch

from p2ptk.cli import cli
from p2ptk.components import create
from p2ptk.config import RunConfig
from p2ptk.dataprep.inspection import inspect
from p2ptk.dataprep.suggest import fitting, suggest
from p2ptk.layers import layers_of
from p2ptk.specs import Spec


@pytest.mark.parametrize(
    ("usual", "size", "depth"),
    [
        ((256, 256), (256, 256), 8),
        ((286, 286), (256, 256), 8),
        ((600, 600), (256, 256), 8),
        ((1080, 1920), (256, 512), 8),
        ((480, 640), (256, 384), 7),
        ((640, 480), (384, 256), 7),
        ((128, 128), (128, 128), 7),
        ((100, 100), (96, 96), 5),
        ((64, 64), (64, 64), 6),
        ((2000, 300), (1792, 256), 8),
        ((10, 10), (8, 8), 3),
    ],
)
def test_sizes(usual: tuple[int, int], size: tuple[int, int], depth: int) -> None:
    assert fitting(usual, 256, 8) == (size, depth)


class Sized:
    """As much of a survey's look as a suggestion reads."""

    def __init__(self, size: tuple[int, int]) -> None:
        side = type("Side", (), {"size": size, "traits": torch.zeros(6).numpy()})()
        self.a = self.b = side


@pytest.mark.parametrize("usual", [(256, 256), (480, 640), (64, 64), (100, 90), (1080, 1920)])
@pytest.mark.parametrize("which", [0, 1])
def test_commands_suit_their_generators(usual: tuple[int, int], which: int) -> None:
    looks: Any = [Sized(usual)] * 3
    _, command = suggest("a folder/pairs", looks).commands[which]
    program, name, *words = shlex.split(command)
    assert (program, name) == ("p2ptk", "run")
    run = cli.get_command(None, "run")  # type: ignore[arg-type]
    assert run
    given = run.make_context("run", words, obj={}).params
    assert given["data"] == "a folder/pairs"
    assert given["output"] == Path("runs/pairs" if which else "runs/pairs-quick")
    layers = layers_of({}, given["recipe"])
    chosen = {"generator": given["generator"]} if given["generator"] else {}
    config = RunConfig.of(*layers, {"size": given["set_size"]}, chosen)
    with torch.device("meta"):
        generator = create("generator", config.generator, source_channels=3, target_channels=3)
    assert all(side % generator.size_multiple == 0 for side in config.size)


def test_the_direction_is_left_open_where_sides_are_alike() -> None:
    found = inspect(Spec("demo"), "demo", most=12)
    assert found.suggestion.direction == "AtoB"
    assert "look at the pictures" in found.suggestion.why
    assert found.suggestion.commands[1][1].startswith("p2ptk run -d demo --direction AtoB")


def test_a_drawing_is_the_source(tmp_path: Path, tiles: Any) -> None:
    import numpy as np
    from PIL import Image

    for i, (a, b) in enumerate(tiles[:6]):
        even = (b[::16, ::16] // 64 * 64).repeat(16, 0).repeat(16, 1)
        Image.fromarray(np.hstack([a, even])).save(tmp_path / f"{i}.png")
    found = inspect(Spec("side-by-side", {"path": str(tmp_path)}), str(tmp_path))
    assert found.suggestion.direction == "BtoA"
    assert "BtoA paints A from it" in found.suggestion.why
