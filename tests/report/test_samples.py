from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from p2ptk.config import RunConfig
from p2ptk.contracts import Side
from p2ptk.report.samples import (
    BYTES,
    EARLIER,
    NEWEST,
    PAIRS,
    STEPS,
    Frame,
    Samples,
    cells,
    packed,
    read_samples,
    shown_names,
    unscaled,
)
from p2ptk.report.sheets import sample_sheet, save_png, show


def noise(height: int, width: int, seed: int = 0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(3, height, width, generator=rng) * 2 - 1


def config(pairs: int, size: tuple[int, int], **table: Any) -> RunConfig:
    record = {"val": [f"n{i}" for i in range(pairs)]}
    return RunConfig.of({"size": list(size), "record": record, "losses": ["l1"]} | table)


@pytest.mark.parametrize("rows", [1, 2, 5])
@pytest.mark.parametrize("size", [(128, 128), (256, 200), (300, 512), (64, 64), (32, 48)])
def test_sheets_are_taken_apart_as_they_were_made(rows: int, size: tuple[int, int]) -> None:
    pictures = [[noise(*size, seed=3 * r + c) for c in range(3)] for r in range(rows)]
    sheet = sample_sheet(pictures, Side(), Side())
    found = cells(sheet, rows, size[0] / size[1])
    assert found is not None
    scale = found[0][0].shape[0] // size[0]
    for row, made in zip(found, pictures, strict=True):
        for cell, x in zip(row, made, strict=True):
            assert np.array_equal(cell[::scale, ::scale], show(x, Side()))


def test_sheets_of_another_form_are_not() -> None:
    sheet = sample_sheet([[noise(128, 128)] * 3] * 2, Side(), Side())
    assert cells(sheet, 3, 1.0) is None
    assert cells(sheet, 2, 0.5) is None
    assert cells(sheet, 0, 1.0) is None
    assert cells(sheet[:, :-1], 2, 1.0) is None


def test_small_pictures_come_back_as_the_networks_had_them(tmp_path: Path) -> None:
    made = [noise(64, 64, seed=i) for i in range(3)]
    save_png(tmp_path / "000010.png", sample_sheet([made], Side(), Side()))
    chosen = config(1, (64, 64))
    plain = unscaled(read_samples(tmp_path, chosen), chosen)
    assert plain is not None
    assert np.array_equal(plain.sources[0], show(made[0], Side()))
    assert np.array_equal(plain.frames[0].outputs[0], show(made[1], Side()))
    assert np.array_equal(plain.targets[0], show(made[2], Side()))
    assert unscaled(read_samples(tmp_path, chosen), config(1, (1024, 1024))) is None


@pytest.mark.parametrize("count", [1, STEPS, STEPS + 1, 300])
def test_steps_are_chosen_evenly(count: int, tmp_path: Path) -> None:
    for number in range(count):
        Image.new("RGB", (5, 4), (number % 256, 0, 0)).save(tmp_path / f"{number * 10:06d}.png")
    steps = [frame.step for frame in read_samples(tmp_path, config(2, (64, 64))).frames]
    assert len(steps) == min(count, STEPS)
    assert (steps[0], steps[-1]) == (0, (count - 1) * 10)
    gaps = np.diff(steps)
    assert count == 1 or gaps.max() - gaps.min() <= 10


def test_the_shown_pairs_are_the_validators() -> None:
    """`Validator.shown` takes pair i * pairs // count."""
    assert shown_names(config(20, (64, 64))) == ("n0", "n3", "n6", "n10", "n13", "n16")
    assert shown_names(config(2, (64, 64))) == ("n0", "n1")
    nameless = RunConfig.of({"record": {"val": ["4"]}, "losses": ["l1"]})
    assert shown_names(nameless) == ("pair 0", "pair 1", "pair 2", "pair 3")
    assert shown_names(RunConfig.of({"losses": ["l1"]})) == ()


def size_of(uri: str) -> tuple[int, int]:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).size


def test_the_page_stays_small() -> None:
    """Noise does not compress: steps in between go, the first and the newest stay."""
    rng = np.random.default_rng(0)
    pictures = tuple(rng.integers(0, 256, (640, 512, 3), dtype=np.uint8) for _ in range(PAIRS + 4))
    frames = [Frame(10 * i, pictures) for i in range(STEPS)]
    names = tuple(str(i) for i in range(PAIRS + 4))
    shown = packed(Samples(names, pictures, pictures, frames))
    assert len(shown["names"]) == len(shown["sources"]) == PAIRS
    assert shown["names"][0] == "0"
    assert shown["names"][-1] == str(PAIRS + 3)
    assert shown["steps"][0] == 0
    assert shown["steps"][-1] == 10 * (STEPS - 1)
    assert 2 < len(shown["steps"]) < STEPS
    assert sum(len(uri) for uris in shown["outputs"] for uri in uris) <= BYTES
    assert max(size_of(shown["outputs"][-1][0])) == NEWEST
    assert max(size_of(shown["outputs"][0][0])) == EARLIER
    assert size_of(shown["outputs"][0][0]) == (round(EARLIER * 0.8), EARLIER)
