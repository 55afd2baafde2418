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
from p2ptk.metrics.results import Evaluation, Score
from p2ptk.report.facts import loss_table
from p2ptk.report.page import write_report
from p2ptk.runfolder import RunFolder

STEPS = (0, 20, 40, 60)  # of `paired_run`


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


def payload(folder: RunFolder) -> dict[str, Any]:
    """What the page's script gets."""
    source = folder.report.read_text("utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', source)
    assert found
    made: dict[str, Any] = json.loads(found[1])
    return made


def decoded(uri: str) -> Image.Image:
    assert uri.startswith("data:image/")
    image = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
    image.load()
    return image


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
    source = re.sub(r"base64,[\w+/=]+", "", run.report.read_text("utf-8"))
    assert set(re.findall(r"https?://[^\s\"']*", source)) == {
        "http://www.w3.org/2000/svg"
    }  # a name
    assert not re.search(r"@import|\bfetch\(|XMLHttpRequest|url\((?!#)", source)
    assert not page.all("link")
    assert all(a["src"].startswith("data:image/") for _, a in page.tags if a.get("src"))
    policy = page.all("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"]
    assert policy.startswith("default-src 'none'")


def test_every_sheet_is_in_it(run: RunFolder) -> None:
    page = read(run)
    shown = payload(run)["samples"]
    assert shown["steps"] == list(range(0, 201, 50))
    assert shown["targets"] == []  # these sheets are not of three columns
    for (uri,), step in zip(shown["outputs"], shown["steps"], strict=True):
        with Image.open(run.samples / f"{step:06d}.png") as sheet:
            assert decoded(uri).size == sheet.size
    (slider,) = page.all("input", id="sheet")
    assert (slider["min"], slider["max"], slider["value"]) == ("0", "4", "4")


def test_curves_are_in_it_as_numbers(run: RunFolder) -> None:
    read(run)
    panels = payload(run)["panels"]
    assert [p["title"] for p in panels] == ["generator", "discriminator", "learning rate"]
    assert panels[0]["x"] == list(range(10, 201, 10))
    by_name = {line["name"]: line["y"] for line in panels[0]["lines"]}
    assert set(by_name) == {"gan", "l1", "total"}
    assert by_name["l1"][2] == 33.333


def test_opens_with_three_sentences(run: RunFolder) -> None:
    page = read(run)
    signs = [a for a in page.all("li") if a.get("data-about")]
    assert [a["data-about"] for a in signs] == ["pictures", "game", "pairs"]
    assert "There is no sample sheet yet" in page.text
    assert page.text.index("early to say") < page.text.index("of 400 steps")


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
    assert page.all("img") == page.all("input") == []
    assert "0 of 400 steps" in page.text
    assert "Losses" not in page.text
    assert payload(run) == {"samples": None, "panels": []}
    picture(0).save(run.samples / "000000.png")
    page = read(run)
    assert len(page.all("img")) == 1
    assert page.all("input") == []  # one sheet needs no slider


def test_half_written_files_are_left_out(run: RunFolder) -> None:
    newest = run.samples / "000200.png"
    newest.write_bytes(newest.read_bytes()[:1000])
    (run.samples / "notes.png").write_bytes(b"text")
    (run.path / "environment.json").write_text('{"p2ptk": ')
    (run.path / "evaluation-val.json").write_text('{"scores": [')
    (run.path / "per_image-val.csv").write_text("name,psnr\na")
    with run.metrics.open("a") as file:
        file.write('{"step": 210, "g_lo')
    page = read(run)
    assert payload(run)["samples"]["steps"] == [0, 50, 100, 150]
    assert "200 of 400 steps" in page.text


def test_pairs_are_taken_apart(paired_run: RunFolder) -> None:
    page = read(paired_run)
    shown = payload(paired_run)["samples"]
    assert shown["names"] == ["v0", "v2", "v4"]
    assert shown["steps"] == list(STEPS)
    assert (shown["width"], shown["height"]) == (128, 128)
    assert len(page.all("button", **{"class": "pair"})) == 3
    for number, step in enumerate(STEPS):
        for pair in range(3):
            grey = decoded(shown["outputs"][number][pair]).convert("RGB").getpixel((60, 60))
            expected = (-0.8 + step / 60 + 0.1 * pair) * 127.5 + 127.5
            assert isinstance(grey, tuple)
            assert grey[0] == pytest.approx(expected, abs=3)
    assert "psnr" in [p["title"] for p in payload(paired_run)["panels"]]
    assert "Best and worst" in page.text
    assert "of the 3 pairs shown above" in page.text


def test_an_evaluation_is_shown_with_its_intervals(paired_run: RunFolder) -> None:
    scores = [
        Score("psnr", 21.25, 6, "psnr", 20.5, 22.125, True, "in dB"),
        Score("kid", 0.01234, 6, "kid", None, None, False),
    ]
    per_image = {"psnr": [20.0, 25.0, 22.0, 19.0, 30.0, 21.0]}
    names = tuple(f"v{i}" for i in range(6))
    about = {"split": "val", "data": "pairs <x>", "step": 60}
    done = Evaluation(scores, names, per_image, ["Few pairs."], about=about)
    done.write_json(paired_run.path / "evaluation-val.json")
    done.write_per_image(paired_run.path / "per_image-val.csv")
    page = read(paired_run)
    for words in (
        "Evaluation on val 6 pairs of pairs <x>, weights of step 60",
        "psnr ↑ 21.25 20.50 to 22.12 6 in dB",
        "kid ↓ 0.01234 – 6",
        "Few pairs.",
        "of the 6 pairs of val, by psnr",
        "best v4 30 v1 25 v2 22 worst v3 19 v0 20 v5 21",
    ):
        assert words in page.text, words
    assert len(page.all("div", **{"class": "trio"})) == 3  # those that are on the sheets

    pixels = np.zeros((8, 8, 3), np.uint8)
    assert write_report(paired_run, dict.fromkeys(names, (pixels,) * 3))
    page = Page(paired_run.report.read_text("utf-8"))
    assert len(page.all("div", **{"class": "trio"})) == 6


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

STEPS = (0, 20, 40, 60)  # of `paired_run`
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
