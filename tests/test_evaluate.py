"""Metrics over a split: of a model's translations, and of pictures that lie in files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from p2ptk import Translator, create
from p2ptk.errors import UserError
from p2ptk.evaluate import evaluate, score_images, score_model

Tiny = Callable[..., Any]


@pytest.fixture
def model(tiny: Tiny, tmp_path: Path) -> Callable[..., Translator]:
    """model(**layers) -> a translator of a tiny run just trained."""

    def make(name: str = "run", *layers: dict[str, Any]) -> Translator:
        tiny(name, {"train": {"steps": 2}}, *layers)
        return Translator.load(tmp_path / name, "cpu", "fp32")

    return make


@pytest.fixture
def data(pairs: Path) -> Any:
    return create("dataset", f"side-by-side:path={pairs}")


def test_the_batch_size_makes_no_difference(model: Any, data: Any) -> None:
    translator = model()
    metrics = ["psnr", "ssim", "l1", "ms-ssim:scales=2"]
    found = [
        score_model(translator, data, data.split("train"), metrics, batch_size=size)
        for size in (1, 4, 9)
    ]
    for other in found[1:]:
        assert other.values == pytest.approx(found[0].values, rel=1e-5)
        assert other.per_image["ssim"] == pytest.approx(found[0].per_image["ssim"], rel=1e-4)
    assert found[0].names == tuple(f"{i:02d}" for i in range(9))
    assert evaluate(translator, data, data.split("train"), metrics) == found[1].values


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_saved_pictures_score_as_the_model_did(
    model: Any, data: Any, tmp_path: Path, direction: Any
) -> None:
    translator = model("run", {"direction": direction})
    split = data.split("val")
    metrics = ["psnr", "ssim", "l1"]
    own = score_model(translator, data, split, metrics, save=tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["00.png", "01.png", "02.png"]
    for size in (None, (32, 32)):  # which is their own
        again = score_images(
            tmp_path / "out", data, split, metrics, direction=direction, size=size, batch_size=2
        )
        assert again.names == own.names
        assert again.values == pytest.approx(own.values, abs=0.02)  # rounded to 8 bits
        assert again.per_image["l1"] == pytest.approx(own.per_image["l1"], abs=0.002)


def test_the_targets_themselves_are_perfect(data: Any, tmp_path: Path) -> None:
    split = data.split("val")
    for pair in split:
        array = pair.target.permute(1, 2, 0).numpy()
        Image.fromarray(array).save(tmp_path / f"{pair.name}.png")
    done = score_images(tmp_path, data, split, ["psnr", "ssim", "l1"])
    assert done.values == pytest.approx({"psnr": 100.0, "ssim": 1.0, "l1": 0.0})


def named(folder: Path, names: list[str], size: tuple[int, int] = (32, 32)) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        Image.fromarray(np.zeros((*size, 3), np.uint8)).save(folder / name)
    return folder


def test_names_that_do_not_match_are_listed(data: Any, tmp_path: Path) -> None:
    folder = named(tmp_path / "out", ["00.png", "02.jpg", "03.png", "cat.png"])
    with pytest.raises(UserError) as caught:
        score_images(folder, data, data.split("val"), ["l1"])
    assert "pairs without a picture: 01; pictures without a pair: 03.png, cat.png" in str(
        caught.value
    )
    named(folder, ["00.jpg"])
    with pytest.raises(UserError, match=r"00\.jpg and 00\.png would both be the picture of 00"):
        score_images(folder, data, data.split("val"), ["l1"])


def test_a_pattern_says_what_else_is_in_the_names(data: Any, tmp_path: Path) -> None:
    names = [f"0{i}_{kind}.png" for i in range(3) for kind in ("fake_B", "real_A", "real_B")]
    folder = named(tmp_path / "out", names)
    done = score_images(folder / "*_fake_B.png", data, data.split("val"), ["l1"])
    assert done.names == ("00", "01", "02")
    with pytest.raises(UserError, match="holds no images"):
        score_images(folder / "*_none.png", data, data.split("val"), ["l1"])


def test_sheets_of_translate_are_no_extra_pictures(model: Any, data: Any, tmp_path: Path) -> None:
    from p2ptk.translate import translate_pairs

    translator, split = model(), data.split("val")
    translate_pairs(translator, split, (data.a, data.b), tmp_path / "out", compare=True)
    assert (tmp_path / "out" / "compare" / "00.png").exists()
    done = score_images(tmp_path / "out", data, split, ["l1"])
    own = score_model(translator, data, split, ["l1"])
    assert done.values == pytest.approx(own.values, abs=0.002)


def test_other_sizes_are_refused(data: Any, tmp_path: Path) -> None:
    folder = named(tmp_path / "out", ["00.png", "01.png", "02.png"], (16, 24))
    with pytest.raises(UserError, match=r"00\.png is 16x24, and its target 32x32: --size 16x24"):
        score_images(folder, data, data.split("val"), ["l1"])
    with pytest.raises(UserError, match=r"is 16x24, and its target 8x8\.$"):
        score_images(folder, data, data.split("val"), ["l1"], size=(8, 8))
    assert score_images(folder, data, data.split("val"), ["l1"], size=(16, 24)).values["l1"] > 0


def test_pictures_that_can_not_be_read(data: Any, tmp_path: Path) -> None:
    folder = named(tmp_path / "out", ["00.png", "01.png"])
    (folder / "02.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"02\.png: "):
        score_images(folder, data, data.split("val"), ["l1"])
    with pytest.raises(UserError, match="no folder"):
        score_images(tmp_path / "none", data, data.split("val"), ["l1"])


def test_pairs_of_many_sizes_are_taken_as_they_are(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    out = tmp_path / "out"
    (tmp_path / "pairs" / "val").mkdir(parents=True)
    out.mkdir()
    for name, side in (("a", 16), ("b", 24), ("c", 24), ("d", 16)):
        pair = rng.integers(0, 255, (side, 2 * side, 3)).astype(np.uint8)
        Image.fromarray(pair).save(tmp_path / "pairs" / "val" / f"{name}.png")
        Image.fromarray(pair[:, side:]).save(out / f"{name}.png")
    data = create("dataset", f"side-by-side:path={tmp_path / 'pairs'}")
    done = score_images(out, data, data.split("val"), ["l1"], batch_size=8)
    assert done.names == ("a", "b", "c", "d")
    assert done.values["l1"] == 0


def test_several_translations_under_noise(model: Any, data: Any) -> None:
    layer = {
        "size": 64, "generator": "unet:depth=6,width=4", "inference": {"dropout": True},
        "train": {"init_gain": 0.2},
    }  # fmt: skip
    translator = model("noisy", layer)
    split = data.split("val")
    one = score_model(translator, data, split, ["diversity", "l1"], batch_size=1)
    other = score_model(translator, data, split, ["diversity", "l1"], batch_size=3)
    assert one.values["diversity-l1-s4"] > 0
    assert one.values == pytest.approx(other.values, rel=1e-3)
    quiet = model("quiet")
    with pytest.raises(UserError, match="draws noise"):
        score_model(quiet, data, split, ["diversity"])


def test_label_targets_are_scored_by_class(tiny: Tiny, tmp_path: Path) -> None:
    """A model from photos to labels, its pictures saved in the palette's colours and read again."""
    rng = np.random.default_rng(0)
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    for split in ("train", "val"):
        (tmp_path / "pairs" / split).mkdir(parents=True)
        for i in range(4):
            numbers = np.kron(rng.integers(0, 3, (4, 4)), np.ones((8, 8), np.int64))
            photo = (colours[numbers] * 0.6 + 40).astype(np.uint8)
            pair = np.hstack([photo, colours[numbers]])
            Image.fromarray(pair).save(tmp_path / "pairs" / split / f"{i}.png")
    spec = {
        "name": "side-by-side", "path": str(tmp_path / "pairs"), "b_kind": "labels",
        "b_palette": ["#ff0000", "#00ff00", "#0000ff"],
    }  # fmt: skip
    tiny(
        "run", {"data": spec, "losses": ["cross-entropy"], "discriminator": "none"},
        {"generator": "unet:depth=2,width=8,dropout=0.0,output=linear"},
        {"train": {"steps": 60, "lr": 0.02}, "output": {"evaluate_every": 60}},
    )  # fmt: skip
    translator = Translator.load(tmp_path / "run", "cpu", "fp32")
    data = create("dataset", spec)
    split = data.split("val")
    done = score_model(translator, data, split, ["palette-accuracy"], save=tmp_path / "out")
    assert done.values["palette-pixel-accuracy-3"] > 0.6
    saved = np.asarray(Image.open(tmp_path / "out" / "0.png"))
    assert {tuple(c) for c in saved.reshape(-1, 3).tolist()} <= {tuple(c) for c in colours.tolist()}
    again = score_images(tmp_path / "out", data, split, ["palette-accuracy"])
    assert again.values == done.values


def test_data_of_another_kind_is_refused(model: Any, pairs: Path) -> None:
    labels = create(
        "dataset", f'side-by-side:path={pairs},b_kind=labels,b_palette=["#000000","#ffffff"]'
    )
    with pytest.raises(UserError, match="target is image, and side B of this data is labels of 2"):
        score_model(model(), labels, labels.split("val"), ["l1"])


def test_nothing_is_translated_for_a_wrong_metric(
    model: Any, data: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    translator = model()

    def network(seed: int | None = None) -> Tensor:
        raise AssertionError("it was asked to translate")

    monkeypatch.setattr(translator, "network", network)
    with pytest.raises(UserError, match="did you mean 'psnr'"):
        score_model(translator, data, data.split("val"), ["l1", "pnsr"])


def test_no_random_number_is_drawn(model: Any, data: Any) -> None:
    translator = model()
    before = torch.get_rng_state()
    score_model(translator, data, data.split("val"), ["l1", "ssim"])
    assert torch.equal(torch.get_rng_state(), before)
