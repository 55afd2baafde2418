"""`p2ptk train-scorer`: finds the labels, trains on them, and what it makes scores photos."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

COLOURS = np.array([[0, 0, 170], [255, 170, 0], [0, 255, 85]], np.uint8)
SMALL = ["--size", "32", "-G", "unet:depth=2,width=8,dropout=0.0,output=linear",
         "--batch-size", "4", "--device", "cpu"]  # fmt: skip


@pytest.fixture(scope="module")
def facades(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Side-by-side pairs: A noisy photos of what B's label maps say, in JPEG."""
    folder = tmp_path_factory.mktemp("labelled")
    rng = np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 4)):
        (folder / split).mkdir()
        for i in range(count):
            numbers = np.kron(rng.integers(0, 3, (4, 4)), np.ones((16, 16), np.int64))
            photo = COLOURS[numbers] * 0.5 + rng.normal(70, 20, (64, 64, 3))
            pair = np.hstack([photo.clip(0, 255).astype(np.uint8), COLOURS[numbers]])
            Image.fromarray(pair).save(folder / split / f"{i}.jpg", quality=92, subsampling=0)
    return folder


@pytest.fixture
def scorer(command: Any, facades: Path, tmp_path: Path) -> Path:
    done = command(
        "train-scorer", "-d", facades, *SMALL, "--steps", "120", "--lr", "0.01",
        "-o", tmp_path / "scorer",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "side B holds labels of 3 colours: [#" in done.err
    assert "palette-pixel-accuracy-3 of real photos in val: 0." in done.out
    assert f"-m fcn-score:scorer={tmp_path / 'scorer'}" in done.out
    return tmp_path / "scorer"


def test_it_scores_photos(command: Any, scorer: Path, facades: Path, tmp_path: Path) -> None:
    config = tomllib.loads((scorer / "run.toml").read_text())
    assert (config["recipe"], config["direction"]) == ("scorer", "AtoB")
    assert (config["data"]["b_kind"], len(config["data"]["b_palette"])) == ("labels", 3)

    # A perfect painter: the photos themselves; and one that always paints the same picture.
    for name in ("good", "bad"):
        (tmp_path / name).mkdir()
        for file in (facades / "val").iterdir():
            source = file if name == "good" else facades / "val" / "0.jpg"
            photo = Image.open(source).crop((0, 0, 64, 64))
            photo.resize((32, 32)).save(tmp_path / name / f"{file.stem}.png")
    found = {}
    for name in ("good", "bad"):
        done = command(
            "evaluate", "--images", tmp_path / name, "-d", facades, "--direction", "BtoA",
            "--size", "32", "-m", f"fcn-score:scorer={scorer}", "--json",
        )  # fmt: skip
        assert done.code == 0, done.err
        found[name] = {key.rpartition("-")[0]: v for key, v in done.json["metrics"].items()}
    good, bad = found["good"], found["bad"]
    assert good["fcn-pixel-accuracy"] == pytest.approx(good["fcn-real-pixel-accuracy"], abs=0.03)
    assert good["fcn-pixel-accuracy"] > 0.8
    assert bad["fcn-pixel-accuracy"] < good["fcn-pixel-accuracy"] - 0.2


def test_photos_become_label_maps(
    command: Any, scorer: Path, facades: Path, tmp_path: Path
) -> None:
    Image.open(facades / "val" / "1.jpg").crop((0, 0, 64, 64)).save(tmp_path / "photo.png")
    done = command("translate", scorer, tmp_path / "photo.png", "-o", tmp_path / "labels.png")
    assert done.code == 0, done.err
    colours = {tuple(c) for c in np.asarray(Image.open(tmp_path / "labels.png")).reshape(-1, 3)}
    assert len(colours) <= 3


def test_what_is_given_is_taken(command: Any, facades: Path, tmp_path: Path) -> None:
    done = command(
        "train-scorer", "-d", facades, *SMALL, "--steps", "1", "--labels", "B", "--palette",
        "#0000aa, #ffaa00,00ff55,ffffff", "-o", tmp_path / "given", "--json",
    )  # fmt: skip
    assert json.loads(done.out)["finished"], done.err
    config = tomllib.loads((tmp_path / "given" / "run.toml").read_text())
    assert config["data"]["b_palette"] == ["#0000aa", "#ffaa00", "#00ff55", "#ffffff"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--direction", "AtoB"), "say with --labels"),
        (("--palette", "blue,red"), "no colour like"),
        (("--labels", "C"), "'C' is not one of"),
    ],
)
def test_bad_input(
    command: Any, facades: Path, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    done = command("train-scorer", "-d", facades, *SMALL, *arguments, "-o", tmp_path / "bad")
    assert done.code == 2
    assert sentence in done.err
    assert not (tmp_path / "bad").exists()


def test_pairs_without_labels_are_refused(command: Any, tmp_path: Path) -> None:
    done = command("train-scorer", "-d", "demo", *SMALL, "-o", tmp_path / "bad")
    assert done.code == 2
    assert "neither side looks like label maps" in done.err
    done = command("train-scorer", "-d", "demo", "--labels", "B", *SMALL, "-o", tmp_path / "bad")
    assert done.code == 2
    assert "'demo' can't read side B as labels" in done.err
