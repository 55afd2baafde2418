"""The pictures of docs/troubleshooting.md: tiny runs on the embedded pairs, each with one fault.

python docs/images/make_trouble.py runs/trouble    # trains what is not there yet, then draws

A dozen minutes on two CPU cores. Last bits differ between machines, and so may the pictures.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from p2ptk import RunConfig, Translator, UserError
from p2ptk.cli import main
from p2ptk.contracts import Side
from p2ptk.datasets import demo
from p2ptk.report.looks import Pixels
from p2ptk.report.samples import read_samples
from p2ptk.report.sheets import sample_sheet

EARTH = Path(demo.__file__).with_name("earth")
HERE = Path(__file__).parent
NET = "unet:depth=5,width=16,dropout=0.0"
SMALL = f"""--direction BtoA --size 64 --device cpu -G {NET},upsample=resize
    -D patchgan:layers=2,width=16 --set train.batch_size=4 --set train.lr=4e-4
    --set output.sample_every=50 --set output.samples=5"""
SOUND = f"-d demo --steps 1000 {SMALL}"

# The run with the fault; each ends with what provokes it.
RUNS = {
    "sound": SOUND,
    "mush": f"{SOUND} -D none -L l1:weight=100",
    "board": f"{SOUND} --steps 100 -G {NET},upsample=transpose",
    "cast": f"-d TINTED --steps 300 {SMALL}",
    "wins": f"{SOUND} --steps 400 --set train.lr=2e-5 --set train.lr_d=1e-3",
    "few": f"-d FEW --steps 500 {SMALL} --set augmentations=[] --evaluate-every 25",
    "shifts": f"-d SHIFTED --steps 500 {SMALL}",
}


def train(name: str, folder: Path) -> Path:
    """The run of that name, trained unless it is there."""
    out = folder / name
    if not (out / "report.html").exists():
        makers = {"FEW": few, "SHIFTED": shifted, "TINTED": tinted}
        words = [
            str(makers[word](folder / f"{word.lower()}-pairs")) if word in makers else word
            for word in RUNS[name].split()
        ]
        try:
            main(["run", *words, "-o", str(out)])
        except SystemExit as ended:
            if ended.code:
                raise UserError(f"the run {name!r} ended with {ended.code}.") from ended
    return out


def few(folder: Path) -> Path:
    """Four training pairs of the demo's, and its validation pairs."""
    for split, count in (("train", 4), ("val", 5)):
        (folder / split).mkdir(parents=True, exist_ok=True)
        for path in sorted((EARTH / split).glob("*.jpg"))[:: 3 if split == "train" else 1][:count]:
            (folder / split / path.name).write_bytes(path.read_bytes())
    return folder


def shifted(folder: Path) -> Path:
    """The demo's pairs with each B moved by up to 24 of 256 pixels, another way in each pair."""
    random = np.random.default_rng(0)
    for path in sorted(EARTH.glob("*/*.jpg")):
        both = np.asarray(Image.open(path).convert("RGB"))
        by = random.integers(-24, 25, 2)
        moved = np.hstack([both[:, :256], np.roll(both[:, 256:], by, (0, 1))])[24:-24]
        kept = np.hstack([moved[:, 24:232], moved[:, 280:488]])
        (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(kept).save(folder / path.parent.name / f"{path.stem}.png")
    return folder


def tinted(folder: Path) -> Path:
    """The demo's pairs, the training targets as in evening light, the others as they are."""
    light = np.array([1.0, 0.8, 0.5])
    for path in sorted(EARTH.glob("*/*.jpg")):
        both = np.array(Image.open(path).convert("RGB"))
        if path.parent.name == "train":
            both[:, :256] = both[:, :256] * light
        (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(both).save(folder / path.parent.name / f"{path.stem}.png")
    return folder


def newest(run: Path, step: int | None = None) -> list[list[Pixels]]:
    """Source, output and target of each validation pair, at the newest step or at that one."""
    found = read_samples(run / "samples", RunConfig.read(run / "run.toml"))
    frame = next((f for f in found.frames if f.step == step), found.frames[-1])
    return [list(row) for row in zip(found.sources, frame.outputs, found.targets, strict=True)]


def learnt(run: Path) -> list[Pixels]:
    """The same of a training pair of the demo's layout."""
    path = min((run.parent / "few-pairs" / "train").glob("*.jpg"))
    both = Image.open(path)
    target, source = (both.crop((x, 0, x + 256, 256)).resize((64, 64)) for x in (0, 256))
    shown = (source, Translator.load(run)(source), target)
    return [np.asarray(x.resize((192, 192), Image.Resampling.NEAREST)) for x in shown]


def save(name: str, rows: list[list[Pixels]], *headings: str) -> None:
    drawn = [[torch.from_numpy(x.copy()).permute(2, 0, 1) / 127.5 - 1 for x in row] for row in rows]
    sheet = sample_sheet(drawn, Side(), Side(), headings=headings)
    Image.fromarray(sheet).save(HERE / f"trouble-{name}.jpg", quality=88, optimize=True)


def beside(fault: list[list[Pixels]], sound: list[list[Pixels]], *rows: int) -> list[list[Pixels]]:
    """Source, output with the fault, output without, target."""
    return [[fault[i][0], fault[i][1], sound[i][1], fault[i][2]] for i in rows]


def draw(folder: Path) -> None:
    runs = {name: newest(folder / name) for name in RUNS}
    sound, early = runs["sound"], newest(folder / "sound", 100)
    save("sound", sound, "source", "output", "target")
    save("mush", beside(runs["mush"], sound, 1, 3), "source", "l1 alone", "gan and l1", "target")
    save("board", beside(runs["board"], early, 1, 2), "source", "transpose", "resize", "target")
    save("cast", beside(runs["cast"], sound, 1, 2), "source", "cast", "none", "target")
    save("wins", beside(runs["wins"], sound, 1, 2), "source", "D wins", "even game", "target")
    few_rows = [learnt(folder / "few"), runs["few"][1], runs["few"][2]]
    save("few", few_rows, "source", "output", "target")
    save("shifts", [runs["shifts"][i] for i in (1, 2)], "source", "output", "target")


if __name__ == "__main__":
    place = Path(sys.argv[1])
    for each in sys.argv[2:] or RUNS:
        train(each, place)
    if not sys.argv[2:]:
        draw(place)
