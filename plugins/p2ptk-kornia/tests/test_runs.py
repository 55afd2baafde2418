"""Whole runs: one folder of photos is enough, and ADA goes on where it stopped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from p2ptk import Translator, fit

TINY: dict[str, Any] = {
    "size": 32,
    "generator": "unet:depth=3,width=4",
    "discriminator": "patchgan:layers=1,width=4",
    "train__batch_size": 2,
    "precision": "fp32",
    "device": "cpu",
    "quiet": True,
}


def train(photos: Path, run: Path, *augmentations: Any, steps: int = 2, **settings: Any) -> Any:
    return fit(
        output=run,
        dataset=f"photos:path={photos}",
        augmentations=list(augmentations),
        train__steps=steps,
        **{**TINY, **settings},
    )


SOURCES = {
    "canny": 1,
    "sobel": 1,
    "soft-edges": 1,
    "colorize": 1,
    "colorize:space=grey": 1,
    "inpaint": 4,
    "super-resolution:factor=2": 3,
    "deblur:sigma=[0.5,1.0],length=[3.0,5.0]": 3,
    "denoise": 3,
}


@pytest.mark.parametrize("spec", SOURCES)
def test_photos_are_enough(spec: str, photos: Path, tmp_path: Path) -> None:
    assert train(photos, tmp_path / "run", spec, "jitter").finished
    translator = Translator.load(tmp_path / "run", "cpu", precision="fp32")
    assert translator.header.source_channels == SOURCES[spec]
    assert translator.header.target_channels == (2 if spec == "colorize" else 3)
    photo = Image.open(photos / "0.png")
    made = np.asarray(translator(photo))
    assert made.shape == (40, 44, 3)
    assert made.std() > 0
    again = Translator.load(tmp_path / "run", "cpu", precision="fp32")(photo)
    assert np.array_equal(made, np.asarray(again))
    if spec == "colorize":  # brightness is the photo's, whatever the network gives
        luma = [np.asarray(x.convert("L")).astype(int) for x in (photo, Image.fromarray(made))]
        assert np.abs(luma[0] - luma[1]).mean() < 8
    if spec == "inpaint":  # most of the photo is known
        assert (made == np.asarray(photo)).all(-1).mean() > 0.3


def test_a_drawing_is_a_source_as_well(photos: Path, tmp_path: Path) -> None:
    train(photos, tmp_path / "run", "canny", steps=1)
    drawing = Image.new("L", (50, 40), 255)
    drawn = Translator.load(tmp_path / "run", "cpu", derive=False)(drawing)
    assert (drawn.size, drawn.mode) == ((50, 40), "RGB")


@pytest.mark.parametrize("augmentation", ["diffaugment", "ada:p=0.8", "kornia-affine:stage=judge"])
def test_what_d_sees_is_changed_and_the_loss_stays_finite(
    augmentation: str, photos: Path, tmp_path: Path
) -> None:
    train(photos, tmp_path / "plain", "colorize")
    train(photos, tmp_path / "run", "colorize", augmentation)
    plain, rows = (read(tmp_path / name) for name in ("plain", "run"))
    assert rows[0]["g_l1"] == plain[0]["g_l1"]  # the generator's own pairs are as they were
    assert rows[0]["d_loss"] != plain[0]["d_loss"]
    assert all(np.isfinite(row["d_loss"]) for row in rows)
    assert ("ada_p" in rows[0]) == augmentation.startswith("ada")


def read(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]


def test_p_is_written_down_and_moves(photos: Path, tmp_path: Path) -> None:
    """Logits far above nothing: D is too sure, so p rises by the images seen over the speed."""
    ada = {"name": "ada", "speed": 100, "interval": 1, "centre": -1e6}
    train(photos, tmp_path / "run", "colorize", ada, steps=4)
    assert [row["ada_p"] for row in read(tmp_path / "run")] == pytest.approx(
        [0.02, 0.04, 0.06, 0.08]
    )
    assert [row["ada_r"] for row in read(tmp_path / "run")] == [1, 1, 1, 1]


def installed() -> bool:
    try:
        return bool(metadata.version("p2ptk-kornia"))
    except metadata.PackageNotFoundError:
        return False


IN_TURN = """
import json, runpy, sys
for words, code in json.load(sys.stdin):
    sys.argv[1:] = words
    try:
        runpy.run_module("p2ptk", run_name="__main__")
    except SystemExit as ended:
        assert (ended.code or 0) == code, (words, ended.code)
"""


def commands(*expected: tuple[list[Any], int]) -> None:
    """Commands of p2ptk and the exit codes they end with, one after the other in a new process."""
    work = json.dumps([([str(word) for word in words], code) for words, code in expected])
    done = subprocess.run(
        [sys.executable, "-c", IN_TURN],
        input=work,
        env={**os.environ, "P2PTK_PLUGINS": "p2ptk-kornia"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not installed(), reason="p2ptk-kornia is not installed, only on the path")
def test_a_resumed_run_is_as_if_it_never_stopped(photos: Path, tmp_path: Path) -> None:
    run = [
        "run", "-d", f"photos:path={photos}", "-A", "colorize", "-A", "jitter",
        "-A", "ada:speed=60,interval=2,p=0.3", "-A", "kornia-elastic",
        "-G", "unet:depth=3,width=4", "-D", "patchgan:layers=1,width=4", "--size", 32,
        "--batch-size", 2, "--steps", 7, "--device", "cpu", "--precision", "fp32",
    ]  # fmt: skip
    straight, halves = tmp_path / "straight", tmp_path / "halves"
    photo = next(photos.glob("*.png"))
    translate = ["translate", straight, photo, "-o", tmp_path / "out", "--compare"]
    commands(([*run, "-o", straight], 0), ([*run, "-o", halves, "--stop-at", 3], 3))
    commands((["resume", halves], 0), (translate, 0))
    files = sorted((straight / "checkpoints" / "000007").glob("*.safetensors"))
    assert "extras.safetensors" in [file.name for file in files]
    for file in files:
        a, b = (
            load_file(place / "checkpoints" / "000007" / file.name) for place in (straight, halves)
        )
        assert a.keys() == b.keys()
        assert all(a[name].equal(b[name]) for name in a), file.name
    assert load_file(files[1])
    extras = load_file(straight / "checkpoints" / "000007" / "extras.safetensors")
    assert extras["augmentations.ada/p"] != 0.3
    assert [r["ada_p"] for r in read(straight)] == [r["ada_p"] for r in read(halves)]
    assert len(list((tmp_path / "out").rglob("*.png"))) == 2
