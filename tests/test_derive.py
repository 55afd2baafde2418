"""Models whose source is made from a photo: trained, shown, scored and used."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from p2ptk.components import create, register
from p2ptk.config import RunConfig
from p2ptk.contracts import Side
from p2ptk.data import build_data
from p2ptk.datasets.photos import Photos
from p2ptk.errors import UserError
from p2ptk.evaluate import evaluate
from p2ptk.layers import layers_of
from p2ptk.translate import Translator, translate_files
from p2ptk.weights import read_header

Tiny = Callable[..., Any]
SIZE = 32


class Brightness:
    """Gives red alone as the source, and takes it from the target: green and blue are to be found.

    The source has noise of a sample's own, so that it matters which sample it is.
    """

    stage = "derive"

    def __init__(self, *, noise: float = 0.0) -> None:
        self.noise = noise

    def sides(self, source: Side, target: Side) -> None:
        if target.kind != "image":
            raise UserError(f"brightness-test has no meaning for {target.kind}.")

    def sample(self, numbers: Sequence[int], size: tuple[int, int], rng: Any) -> dict[str, Tensor]:
        return {"noise": torch.stack([torch.rand(1, *size, generator=rng(n)) for n in numbers])}

    def apply(
        self, source: Tensor, target: Tensor, params: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        return source[:, :1] + params["noise"] * self.noise, target[:, 1:]

    def restore(self, source: Tensor, image: Tensor) -> Tensor:
        return torch.cat([source, image], 1)


@pytest.fixture(autouse=True)
def _registered() -> None:
    register("augmentation", "brightness-test", Brightness)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    numbers = np.random.default_rng(0)
    for i in range(8):
        pixels = numbers.integers(0, 255, (40, 48 + 8 * (i % 2), 3)).astype("uint8")
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


@pytest.fixture
def layers(photos: Path) -> dict[str, Any]:
    return {
        "data": {"name": "photos", "path": str(photos)},
        "augmentations": [{"name": "brightness-test", "as": "red"}, "jitter"],
    }


def config(layers: dict[str, Any], **more: Any) -> RunConfig:
    return RunConfig.of(*layers_of({}), layers, {"size": SIZE, **more})


def test_channels_are_those_that_deriving_leaves(layers: dict[str, Any]) -> None:
    data = build_data(config(layers))
    assert (data.source_channels, data.target_channels, data.photo_channels) == (1, 2, 3)
    assert data.source == Side()
    assert data.source_size == (40, 48)
    assert [keyed.stage for keyed in data.augmentations] == ["derive", "data"]


def test_pairs_can_lend_their_target_as_well(layers: dict[str, Any], pairs: Path) -> None:
    data = {"data": {"name": "side-by-side", "path": str(pairs)}}
    for direction in ("AtoB", "BtoA"):
        made = build_data(config(layers | data, direction=direction))
        assert (made.source_channels, made.target_channels) == (1, 2)


def test_photos_that_nothing_makes_sources_of_are_refused(layers: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"single pictures, .*-A colorize or -A canny"):
        build_data(config(layers | {"augmentations": ["jitter"]}))


def test_what_does_not_suit_the_sides_is_refused(layers: dict[str, Any], photos: Path) -> None:
    values = {"name": "photos", "path": str(photos), "kind": "values"}
    with pytest.raises(UserError, match="no meaning for values"):
        build_data(config(layers | {"data": values}))


def test_a_run_and_all_that_comes_after_it(
    tiny: Tiny, tmp_path: Path, photos: Path, layers: dict[str, Any]
) -> None:
    tiny("run", layers, {"generator": {"dropout": 0.0}})
    run = tmp_path / "run"
    header = read_header(run)
    assert (header.source_channels, header.target_channels, header.photo_channels) == (1, 2, 3)
    assert header.derive == ({"name": "brightness-test", "noise": 0.0, "as": "red"},)
    assert header.aspect == 48 / 40
    sheet = np.asarray(Image.open(run / "samples" / "000000.png"))
    assert (sheet.max(-1) - sheet.min(-1)).max() > 100  # the target column is in colours

    translator = Translator.load(run, "cpu", precision="fp32")
    photo = Image.open(photos / "1.png")
    made = np.asarray(translator(photo))
    assert made.shape == (40, 56, 3)
    assert np.array_equal(made[..., 0], np.asarray(photo)[..., 0])  # red is the source's own
    # So it is in tiles, and where the source is given instead of made.
    tiles = Translator.load(run, "cpu", precision="fp32", tile=32, overlap=8)
    assert np.array_equal(np.asarray(tiles(photo))[..., 0], made[..., 0])
    drawn = Translator.load(run, "cpu", precision="fp32", derive=False)
    red = photo.getchannel("R")
    assert np.array_equal(drawn(np.array(red)), made)
    summary = translate_files(translator, [photos], tmp_path / "out", compare=True)
    assert (len(summary.written), len(summary.sheets), summary.failed) == (8, 8, {})
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / "1.png")), made)


def test_scores_are_of_whole_pictures(
    tiny: Tiny, tmp_path: Path, photos: Path, layers: dict[str, Any]
) -> None:
    """Red comes from the source, so a third of the values is exact whatever the network gives."""
    tiny("run", layers, stop_at=1)

    class Look:
        def update(self, fake: Tensor, target: Tensor, source: Tensor) -> None:
            assert fake.shape[1] == target.shape[1] == 3
            assert torch.equal(fake[:, :1], target[:, :1])
            assert torch.equal(fake[:, :1], source)
            assert not torch.equal(fake, target)

        def compute(self) -> dict[str, float]:
            return {"looked": 1.0}

    register("metric", "look-test", Look)
    data = Photos(path=photos)
    found = evaluate(
        Translator.load(tmp_path / "run", "cpu"), data, data.split("val"), ["look-test"]
    )
    assert "looked" in str(found)


def test_what_is_drawn_for_a_photo_follows_from_the_seed_alone(
    tiny: Tiny, tmp_path: Path, photos: Path, layers: dict[str, Any]
) -> None:
    noisy = {"augmentations": [{"name": "brightness-test", "noise": 0.5}]}
    tiny("run", layers, noisy, stop_at=1)
    pictures = [np.asarray(Image.open(photos / f"{i}.png")) for i in (0, 2, 4)]

    def reds(**options: Any) -> list[Any]:
        made = Translator.load(tmp_path / "run", "cpu", precision="fp32", **options)(pictures)
        return [picture[..., 0] for picture in made]

    alone, together, other = reds(), reds(batch_size=3), reds(seed=1)
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(alone, other, strict=True))


def test_a_model_says_what_makes_its_source(
    tiny: Tiny, tmp_path: Path, layers: dict[str, Any]
) -> None:
    from p2ptk.cli.show_model import model_facts, model_lines

    tiny("run", layers, stop_at=1)
    facts = model_facts(tmp_path / "run")
    lines = model_lines(facts)
    assert ("source", "1 channel, made from a photo like the target") in lines
    assert ("source made by", "brightness-test:noise=0.0,as=red") in lines
    assert any(label == "needs" and "brightness-test" in words for label, words in lines)
    assert json.dumps(facts)


def test_a_missing_plugin_is_named(tiny: Tiny, tmp_path: Path, layers: dict[str, Any]) -> None:
    from p2ptk.weights import save_generator

    tiny("run", layers, stop_at=1)
    header = read_header(tmp_path / "run").model_copy(
        update={
            "derive": ({"name": "gone"},),
            "providers": {"augmentation/gone": "p2ptk-nowhere 1.0"},
        }
    )
    module = create("generator", header.spec, source_channels=1, target_channels=2)
    save_generator(tmp_path / "gone.safetensors", module, header)
    with pytest.raises(UserError, match=r"needs .*'gone' of p2ptk-nowhere 1\.0: pip install"):
        Translator.load(tmp_path / "gone.safetensors", "cpu")
