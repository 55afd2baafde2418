"""The page as a reader has it: in Chromium, by mouse and keys, and by its pixels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from p2ptk.report.page import write_report
from p2ptk.runfolder import RunFolder

pytestmark = pytest.mark.timeout(180)  # a browser on a busy machine


@pytest.fixture
def page(paired_run: RunFolder) -> str:
    write_report(paired_run)
    return paired_run.report.resolve().as_uri()


def grey(image: Image.Image, across: float) -> int:
    """The middle pixel's red at a share of the width."""
    return int(np.asarray(image)[image.height // 2, round(image.width * across), 0])


def expected(step: int, pair: int) -> float:
    return (-0.8 + step / 60 + 0.1 * pair) * 127.5 + 127.5


def at(browser: Any) -> list[str]:
    return [
        browser.run("document.querySelector('#when').textContent"),
        browser.run("location.hash"),
    ]


def test_moving_the_slider_changes_the_picture(browser: Any, page: str) -> None:
    browser.open(page)
    assert at(browser)[0] == "step 60"
    before = browser.run("document.querySelector('#over').src")
    newest = grey(browser.picture("#swipe"), 0.25)
    assert newest == pytest.approx(expected(60, 0), abs=3)

    left, top, width, height = browser.box("#sheet")
    browser.drag([(left + width - 9, top + height / 2), (left + 9, top + height / 2)])
    assert at(browser) == ["step 0", "#step=0&pair=0"]
    assert browser.run("document.querySelector('#over').src") != before
    assert grey(browser.picture("#swipe"), 0.25) == pytest.approx(expected(0, 0), abs=3)

    browser.press("ArrowRight", 39)
    assert at(browser)[0] == "step 20"
    assert grey(browser.picture("#swipe"), 0.25) == pytest.approx(expected(20, 0), abs=3)
    assert browser.messages == []


def test_the_bar_wipes_from_output_to_target(browser: Any, page: str) -> None:
    browser.open(page)
    left, top, width, height = browser.box("#swipe")
    middle = top + height / 2
    for share in (0.8, 0.2):
        browser.drag([(left + width / 2, middle), (left + width * share, middle)])
        shown = np.asarray(browser.picture("#swipe"))
        line = shown[round(shown.shape[0] * 0.7)].astype(int)
        edge = round(shown.shape[1] * share)
        assert abs(line[edge - 20] - line[edge - 20].mean()).max() < 4  # the grey output
        assert line[edge + 20, 2] - line[edge + 20, 0] > 200  # the blue target
    browser.box("[data-sides='source output']")
    browser.run("document.querySelector(\"[data-sides='source output']\").click()")
    shown = np.asarray(browser.picture("#swipe"))[200]
    assert shown[10, 0] > 200 > 60 > shown[10, 2]  # the red source


def test_choosing_another_pair(browser: Any, page: str) -> None:
    browser.open(page)
    left, top, width, height = browser.box(".pair:nth-of-type(3)")
    browser.drag([(left + width / 2, top + height / 2)])
    assert browser.run("document.querySelector('#which').textContent") == "v4"
    assert at(browser)[1] == "#step=60&pair=2"
    assert grey(browser.picture("#swipe"), 0.25) == pytest.approx(expected(60, 2), abs=3)


def test_the_address_names_step_and_pair(browser: Any, page: str) -> None:
    browser.open(page + "#step=47&pair=1")
    assert at(browser)[0] == "step 40"
    assert grey(browser.picture("#swipe"), 0.25) == pytest.approx(expected(40, 1), abs=3)
    browser.run("location.hash = '#step=20&pair=99'")
    browser.settle()
    assert at(browser)[0] == "step 20"


def test_play_goes_through_all_steps(browser: Any, page: str) -> None:
    browser.open(page)
    script = """new Promise((done) => {
        const seen = [];
        new MutationObserver(() => {
            seen.push(document.querySelector("#when").textContent);
            if (seen.at(-1) === "step 60") done(seen);
        }).observe(document.querySelector("#when"), {childList: true});
        document.querySelector("#play").click();
    })"""
    assert browser.run(script) == ["step 0", "step 20", "step 40", "step 60"]


def test_curves_are_drawn_and_zoom(browser: Any, page: str) -> None:
    browser.open(page)
    titles = browser.run(
        "[...document.querySelectorAll('.chart h3')].map((h) => h.firstChild.data)"
    )
    assert [title.strip() for title in titles] == [
        "generator",
        "discriminator",
        "learning rate",
        "psnr",
        "l1",
    ]
    paths = "[...document.querySelectorAll('.chart')].map((c) => c.querySelectorAll('path').length)"
    assert min(browser.run(paths)) >= 1
    inked = np.asarray(browser.picture(".chart svg")).astype(int)
    assert (np.ptp(inked, axis=2) > 60).sum() > 200  # coloured lines, not only grey rules

    ticks = "[...document.querySelectorAll('.chart:first-child text')].map((t) => t.textContent)"
    whole = browser.run(ticks)
    left, top, width, _ = browser.box(".chart svg")
    browser.drag([(left + width * 0.4, top + 90), (left + width * 0.6, top + 90)])
    assert browser.run(ticks) != whole
    assert browser.run("document.querySelector('#whole').hidden") is False
    browser.run("document.querySelector('#whole').click()")
    assert browser.run(ticks) == whole
    browser.run("document.querySelector('#log').click()")
    assert browser.run(ticks) != whole

    bold = "document.querySelector('.legend b').textContent"
    last = browser.run(bold)
    left, top, width, _ = browser.box(".chart svg")
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=left + width / 2, y=top + 80)
    assert "near step" in browser.run("document.querySelector('#at').textContent")
    assert last == "0.9"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_follows_the_systems_theme_until_told(browser: Any, page: str, dark: bool) -> None:
    browser.open(page, dark=dark)
    browser.run("localStorage.clear()")
    browser.open(page, dark=dark)

    def paper() -> int:
        return int(np.asarray(browser.picture("header"))[2, 2].mean())

    assert (paper() < 60) is dark
    for name, is_dark in (("light", False), ("dark", True), ("auto", dark)):
        browser.run("document.querySelector('#theme').click()")
        assert name in browser.run("document.querySelector('#theme').textContent")
        assert (paper() < 60) is is_dark


def test_fits_a_phone(browser: Any, page: str) -> None:
    browser.open(page, width=360, height=740)
    assert browser.run("document.documentElement.scrollWidth") <= 360
    sizes = "[...document.querySelectorAll('p, td, li')].map((e) => getComputedStyle(e).fontSize)"
    assert min(float(size.removesuffix("px")) for size in browser.run(sizes)) >= 12
    assert browser.run("document.querySelector('#swipe').clientWidth") > 250


def test_a_hostile_name_runs_nothing(browser: Any, paired_run: RunFolder, tmp_path: Path) -> None:
    text = paired_run.config.read_text("utf-8")
    bad = "</script><script>window.hurt = 1</script><img src=x onerror=window.hurt=2>"
    paired_run.config.write_text(text.replace('"v0"', json.dumps(bad)), "utf-8")
    write_report(paired_run)
    browser.open(paired_run.report.resolve().as_uri())
    assert browser.run("window.hurt") is None
    assert browser.run("document.querySelector('#which').textContent") == bad


def test_sheets_of_another_form_are_shown_whole(browser: Any, paired_run: RunFolder) -> None:
    for number, path in enumerate(sorted(paired_run.samples.glob("*.png"))):
        Image.new("RGB", (333, 222), (60 * number, 0, 0)).save(path)
    write_report(paired_run)
    browser.open(paired_run.report.resolve().as_uri() + "#step=20")
    assert np.asarray(browser.picture("#over"))[50, 50].tolist() == pytest.approx([60, 0, 0], abs=4)
    assert browser.run("document.querySelectorAll('.pair').length") == 0
