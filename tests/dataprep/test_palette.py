"""Label colours are found as they were before JPEG."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from p2ptk.components import create
from p2ptk.config import RunConfig
from p2ptk.dataprep.labels import find_labels
from p2ptk.dataprep.palette import find_palette, swatch
from p2ptk.errors import UserError
from p2ptk.specs import Spec

# The 12 classes of facades, as the published JPEGs have them.
FACADES = np.array(
    [(0, 0, 222), (0, 48, 255), (0, 128, 255), (0, 207, 255), (32, 255, 224), (112, 255, 143),
     (192, 255, 63), (255, 240, 0), (255, 159, 0), (255, 80, 0), (255, 0, 0), (174, 0, 0)],
    np.uint8,
)  # fmt: skip


def label_map(seed: int, size: int = 128) -> Any:
    """Class numbers H W: rectangles on a ground, as facades have them."""
    numbers = np.random.default_rng(seed)
    labels = np.zeros((size, size), int)
    for _ in range(25):
        top, left = numbers.integers(0, size - 12, 2)
        height, width = numbers.integers(10, size // 3, 2)
        labels[top : top + height, left : left + width] = numbers.integers(0, 12)
    return labels


def jpeg(image: Any, quality: int = 80) -> Any:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.array(Image.open(buffer))


def test_colours_survive_jpeg() -> None:
    found = find_palette(jpeg(FACADES[label_map(i)]) for i in range(24))
    assert not found.exact
    assert found.labels
    assert len(found.colours) == 12
    for colour in FACADES:
        nearest = min(np.abs(colour.astype(int) - each.rgb).max() for each in found.colours)
        assert nearest <= 3
    shares = [colour.share for colour in found.colours]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1)


def test_colours_without_jpeg_are_exact_even_if_rare() -> None:
    image = np.full((64, 64, 3), 100, np.uint8)
    image[0, 0], image[10:20, 10:20] = (130, 100, 100), (0, 0, 0)
    found = find_palette([image])
    assert found.exact
    assert [colour.text for colour in found.colours] == ["#646464", "#000000", "#826464"]
    assert found.colours[2].share == pytest.approx(1 / 4096)


def test_many_classes_without_jpeg() -> None:
    steps = np.array([0, 51, 102, 153, 204, 255])
    colours = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, 3).astype(np.uint8)
    found = find_palette([colours.reshape(12, 18, 3)])
    assert found.exact
    assert len(found.colours) == 216


def test_few_colours_after_jpeg_are_not_taken_for_exact() -> None:
    blocks = FACADES[[0, 9, 6]][np.random.default_rng(0).integers(0, 3, (4, 4))]
    found = find_palette([jpeg(blocks.repeat(16, 0).repeat(16, 1), 90)])
    assert not found.exact
    assert len(found.colours) == 3


def test_photos_are_no_labels(tiles: Any) -> None:
    for side in (0, 1):
        found = find_palette(pair[side] for pair in tiles[:8])
        assert not found.labels
        assert found.photos


def test_facades_labels(shared: Path) -> None:
    spec = Spec("side-by-side", {"path": str(shared / "data" / "facades")})
    found = find_labels(spec, None, 40, 20.0)
    assert found.side == "b"
    assert found.classes == 12
    assert found.palette
    assert found.palette.labels
    for colour in FACADES:
        assert min(np.abs(colour.astype(int) - c.rgb).max() for c in found.palette.colours) <= 3


def test_the_swatch_shows_each_colour() -> None:
    found = find_palette([FACADES[label_map(0)]])
    drawn = swatch(found)
    assert drawn.shape == (24 * len(found.colours), 480, 3)
    assert [tuple(drawn[24 * i + 12, 40]) for i in range(3)] == [c.rgb for c in found.colours[:3]]


@pytest.fixture
def labelled(tmp_path: Path, tiles: Any) -> Path:
    """Side by side: a photo, and labels in colours that went through JPEG."""
    for i, (a, _) in enumerate(tiles[:8]):
        labels = FACADES[label_map(i)]
        Image.fromarray(np.hstack([a[:128, :128], labels])).save(tmp_path / f"{i}.jpg", quality=85)
    return tmp_path


def test_the_line_of_toml_is_taken_by_the_dataset(labelled: Path) -> None:
    found = find_labels(Spec("side-by-side", {"path": str(labelled)}), None, 8, 20.0)
    assert found.side == "b"
    assert found.classes == 12
    import tomllib

    config = RunConfig.of(tomllib.loads(found.toml))
    assert config.data == found.spec
    dataset = create("dataset", config.data)
    assert dataset.b.depth == 12
    pair = dataset.split("train")[0]
    number = int(pair.name)
    colours = np.array([c.rgb for c in found.palette.colours] if found.palette else [])
    wanted = FACADES[label_map(number)].astype(int)
    wrong = np.abs(colours[pair.target[0].numpy()] - wanted).max(-1) > 8
    assert wrong.mean() < 0.05  # what JPEG blurred beyond recall
    assert Spec.parse(found.option.split("'")[1]) == found.spec


def test_class_numbers_need_no_palette(tmp_path: Path, tiles: Any) -> None:
    for which in ("A", "B"):
        (tmp_path / which).mkdir()
    for i, (a, _) in enumerate(tiles[:3]):
        Image.fromarray(a[:128, :128]).save(tmp_path / "A" / f"{i}.png")
        Image.fromarray(label_map(i).astype(np.uint8)).save(tmp_path / "B" / f"{i}.png")
    found = find_labels(Spec("two-folders", {"path": str(tmp_path)}), "b", 8, 20.0)
    assert found.palette is None
    assert found.classes == 12
    assert create("dataset", found.spec).b.depth == 12


def test_a_side_that_is_no_label_map_is_refused(labelled: Path) -> None:
    spec = Spec("side-by-side", {"path": str(labelled)})
    with pytest.raises(UserError, match=r"side A is no label map: its [0-9]+ commonest colours"):
        find_labels(spec, "a", 8, 20.0)
    declared = spec.having(b_kind="labels", b_palette=["#000000", "#ffffff"])
    with pytest.raises(UserError, match="side B is declared as labels already"):
        find_labels(declared, "b", 8, 20.0)
    with pytest.raises(UserError, match="the dataset 'demo' takes no labels"):
        find_labels(Spec("demo"), "b", 8, 20.0)
