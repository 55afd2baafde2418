from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from p2ptk.config import RunConfig
from p2ptk.errors import UserError
from p2ptk.layers import layers_of
from p2ptk.report.page import (
    EARLIER_BYTES,
    EARLIER_PIXELS,
    NEWEST_BYTES,
    SHEETS,
    loss_table,
    read_sheets,
    write_report,
)
from p2ptk.runfolder import RunFolder


class Page(HTMLParser):
    """Every tag with its attributes, and the text outside of style and script."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(source)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "input", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.text += data + " "

    def all(self, tag: str, **attributes: str) -> list[dict[str, str | None]]:
        return [a for t, a in self.tags if t == tag and attributes.items() <= a.items()]


def rows(count: int) -> list[dict[str, Any]]:
    made = []
    for number in range(1, count + 1):
        row: dict[str, Any] = {"step": number * 10, "epoch": number / 5, "seconds": 6.5 * number}
        row |= {"images_per_s": 24.6, "lr_g": 2e-4, "lr_d": 2e-4}
        row |= {"d_real": 0.6, "d_fake": 0.4, "d_gan": 0.5, "d_loss": 0.5}
        made.append(row | {"g_gan": 1.0, "g_l1": 100.0 / number, "g_loss": 1 + 100.0 / number})
    return made


def picture(seed: int, width: int = 60, height: int = 90) -> Image.Image:
    """Noise, so that it does not compress."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run of 400 steps as it stands after 200: five sheets, twenty lines of log."""
    folder = RunFolder(tmp_path / "earth <b>&amp; co")
    folder.create()
    table = {
        "recipe": "quick",
        "data": "side-by-side:path=/pairs/sea & land",
        "direction": "BtoA",
        "losses": ["gan", "l1:weight=100", "l2:weight=0.5,as=far"],
        "train": {"epochs": 8},
        "providers": {"generator/unet": "p2ptk 9.8.7"},
        "record": {"device": "Some GPU (80 GiB)", "precision": "bf16", "pairs": 400},
    }
    folder.config.write_text(RunConfig.of(*layers_of(table)).toml(), "utf-8")
    for row in rows(20):
        folder.log(row)
    folder.write_environment("Some GPU (80 GiB)", {"generator/unet": "p2ptk 9.8.7"})
    for step in range(0, 201, 50):
        picture(step).save(folder.samples / f"{step:06d}.png")
    picture(1).save(folder.curves)
    return folder


def read(folder: RunFolder) -> Page:
    assert write_report(folder) == folder.report
    page = Page(folder.report.read_text("utf-8"))
    assert page.open == []
    return page


def test_the_page_needs_nothing_but_itself(run: RunFolder) -> None:
    page = read(run)
    source = run.report.read_text("utf-8")
    assert not re.search(r"https?://|//\w|url\(|@import", re.sub(r"base64,[\w+/=]+", "", source))
    assert not page.all("link")
    assert all(a["src"].startswith("data:image/") for _, a in page.tags if a.get("src"))
    assert not [a for t, a in page.tags if t == "script" and a]
    policy = page.all("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"]
    assert policy.startswith("default-src 'none'")


def test_every_picture_is_in_it_whole(run: RunFolder) -> None:
    page = read(run)
    images = page.all("img")
    assert len(images) == 5 + 1
    for image in images:
        content = base64.b64decode(image["src"].partition(",")[2])
        with Image.open(io.BytesIO(content)) as opened:
            opened.load()
        assert image["alt"]
    # Small pictures go in as they are.
    newest = (run.samples / "000200.png").read_bytes()
    assert base64.b64encode(newest).decode() in images[4]["src"]
    assert base64.b64encode(run.curves.read_bytes()).decode() in images[5]["src"]


def test_the_newest_sheet_shows_and_the_slider_reaches_the_others(run: RunFolder) -> None:
    page = read(run)
    sheets = page.all("img", **{"class": "sheet"})
    assert [s["data-step"] for s in sheets] == [f"step {n}" for n in range(0, 201, 50)]
    assert ["hidden" in s for s in sheets] == [True] * 4 + [False]
    (slider,) = page.all("input", type="range")
    assert (slider["min"], slider["max"], slider["value"]) == ("0", "4", "4")


def test_says_what_was_trained(run: RunFolder) -> None:
    text = read(run).text
    for words in (
        "unet against patchgan, gan + l1 + far, B → A of sea & land",
        'path="/pairs/sea & land"',
        "depth=6, width=32, upsample=resize",
        "100 × l1",
        "0.5 × far (l2)",
        "128 × 128 batch 8",
        "EMA 0.99",
        "Some GPU (80 GiB) bf16, seed 0",
        "generator/unet p2ptk 9.8.7",
        "2 min 10 s of training",
        "24.6 images/s",
        "400 training pairs",
        "generator l1 100 100 5.132",
        "discriminator real 0.6 0.6",
    ):
        assert words in text, words


def test_a_run_that_goes_on_says_how_far_it_is(run: RunFolder) -> None:
    page = read(run)
    assert "200 of 400 steps" in page.text
    assert "not finished: 50 %" in page.text
    assert "p2ptk resume" in page.text
    for row in rows(40)[20:]:
        run.log(row)
    page = read(run)
    assert "400 of 400 steps" in page.text
    assert "not finished" not in page.text
    assert "p2ptk resume" not in page.text
    assert f"p2ptk run --config '{run.config}' -o '{run.path}-2'" in page.text


def test_names_are_escaped(run: RunFolder) -> None:
    page = read(run)
    assert page.all("b") == []
    assert page.text.startswith("earth <b>&amp; co · p2ptk earth <b>&amp; co")


def test_a_run_that_has_just_begun(run: RunFolder) -> None:
    for path in [*run.samples.iterdir(), run.curves, run.metrics, run.path / "environment.json"]:
        path.unlink()
    page = read(run)
    assert page.all("img") == page.all("input") == page.all("script") == []
    assert "0 of 400 steps" in page.text
    assert "Losses" not in page.text
    picture(0).save(run.samples / "000000.png")
    page = read(run)
    assert len(page.all("img")) == 1
    assert page.all("input") == []  # one sheet needs no slider


def test_half_written_files_are_left_out(run: RunFolder) -> None:
    newest = run.samples / "000200.png"
    newest.write_bytes(newest.read_bytes()[:1000])
    (run.samples / "notes.png").write_bytes(b"text")
    (run.path / "environment.json").write_text('{"p2ptk": ')
    with run.metrics.open("a") as file:
        file.write('{"step": 210, "g_lo')
    page = read(run)
    sheets = page.all("img", **{"class": "sheet"})
    assert [s["data-step"] for s in sheets] == ["step 0", "step 50", "step 100", "step 150"]
    assert "hidden" not in sheets[-1]
    assert "200 of 400 steps" in page.text


@pytest.mark.parametrize("count", [1, SHEETS, SHEETS + 1, 100])
def test_sheets_are_chosen_evenly(count: int, tmp_path: Path) -> None:
    for number in range(count):
        picture(number, 4, 4).save(tmp_path / f"{number * 10:06d}.png")
    steps = [sheet.step for sheet in read_sheets(tmp_path)]
    assert len(steps) == min(count, SHEETS)
    assert (steps[0], steps[-1]) == (0, (count - 1) * 10)
    gaps = np.diff(steps)
    assert count == 1 or gaps.max() - gaps.min() <= 10


def test_large_sheets_are_made_small(tmp_path: Path) -> None:
    for number in (1, 2):
        image = picture(number, 1000, 1500)
        image.save(tmp_path / f"{number}.png")
        assert (tmp_path / f"{number}.png").stat().st_size > max(NEWEST_BYTES, EARLIER_BYTES)
    earlier, newest = read_sheets(tmp_path)
    for sheet in (earlier, newest):
        assert (sheet.width, sheet.height) == (1000, 1500)
        assert sheet.uri.startswith(("data:image/webp", "data:image/jpeg"))
    opened = [
        Image.open(io.BytesIO(base64.b64decode(s.uri.partition(",")[2]))) for s in (earlier, newest)
    ]
    assert opened[1].size == (1000, 1500)
    assert opened[0].width * opened[0].height <= EARLIER_PIXELS * 1.01
    assert opened[0].width / opened[0].height == pytest.approx(2 / 3, abs=0.01)


def test_losses_by_term(run: RunFolder) -> None:
    config = RunConfig.of({"losses": ["gan", "l1:weight=100"]})
    table = loss_table([*rows(20), {**rows(21)[-1], "g_l1": None}], config)
    assert [(r["side"], r["term"], r["weight"]) for r in table] == [
        ("generator", "total", None),
        ("generator", "gan", 1),
        ("generator", "l1", 100),
        ("discriminator", "gan", 1),
        ("discriminator", "real", None),
        ("discriminator", "fake", None),
    ]
    assert table[2]["start"] == "100"
    assert table[2]["end"] == "5"  # the last tenth is two lines, one of them not finite
    assert loss_table([{"step": 1, "g_l1": None}], config)[0]["end"] == "not finite"


def test_a_run_without_a_discriminator(run: RunFolder) -> None:
    config = RunConfig.of({"discriminator": "none", "losses": ["l1"], "train": {"steps": 10}})
    run.config.write_text(config.toml(), "utf-8")
    text = read(run).text
    assert "unet, l1, A → B of demo" in text
    assert "discriminator none" in text


def test_without_a_run_or_with_a_broken_one(tmp_path: Path, run: RunFolder) -> None:
    with pytest.raises(UserError, match="there is no run folder"):
        write_report(RunFolder(tmp_path / "nowhere"))
    run.config.write_text("steps = ")
    with pytest.raises(UserError, match="can't be read as TOML"):
        write_report(run)


def test_without_jinja2_there_is_no_page(run: RunFolder) -> None:
    code = """
import sys
sys.modules["jinja2"] = None
from p2ptk.report.page import write_report
from p2ptk.runfolder import RunFolder
sys.exit(write_report(RunFolder(sys.argv[1])) is not None)
"""
    subprocess.run([sys.executable, "-c", code, run.path], check=True)
    assert not run.report.exists()


def test_the_page_loads_no_torch(run: RunFolder) -> None:
    code = """
import sys
from p2ptk.report.page import write_report
from p2ptk.runfolder import RunFolder
write_report(RunFolder(sys.argv[1]))
sys.exit("torch" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code, run.path], check=True)
    assert json.loads((run.path / "environment.json").read_text())["device"] in read(run).text
