"""The written report: every file, and a page that needs nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

from p2ptk.study.records import Cost, Evidence, Result
from p2ptk.study.report import write

Make = Callable[..., Evidence]
VOID = {"meta", "img", "link", "br", "hr", "input", "wbr"}


class Tags(HTMLParser):
    """Checks that elements close in order, and keeps the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += f" {data.strip()}" if data.strip() else ""


def test_everything_is_written(real: Evidence, tmp_path: Path) -> None:
    written = write(real, tmp_path / "a" / "b")
    names = ["report.html", "report.md", "report.tex", "report.csv", "report.json", "sheet.png"]
    assert [path.name for path in written] == names
    assert all(path.stat().st_size for path in written)

    page = (tmp_path / "a" / "b" / "report.html").read_text("utf-8")
    text = Tags(page).text
    for words in ("Results on val", "Differences to gan", "paired by image", "Quality against cost",
                  "validation ssim", "The same inputs, every variant", "Repeating it",
                  "p2ptk study run losses.toml", "Environment", "torch"):  # fmt: skip
        assert words in text, words
    assert page.count("data:image/") == 3 * 4  # three pairs: source, target and two variants


def test_the_page_needs_nothing_else(real: Evidence, tmp_path: Path) -> None:
    write(real, tmp_path)
    page = (tmp_path / "report.html").read_text("utf-8")
    links = re.findall(r'(?:src|href)="([^"]*)"', page) + re.findall(r"url\(([^)]*)\)", page)
    assert links
    assert [link for link in links if not link.startswith(("data:", "#"))] == []
    assert "default-src 'none'" in page
    assert not re.search(r"@import|<link|<iframe", page)


def test_the_study_file_and_odd_names_are_shown_as_they_are(real: Evidence, tmp_path: Path) -> None:
    root = tmp_path / "study"
    root.mkdir()
    (root / "study.toml").write_text('name = "<script>alert(1)</script>"\n', "utf-8")
    odd = "<img src=x> & co"
    made = replace(
        real,
        root=root,
        name=odd,
        variants=(real.variants[0], replace(real.variants[1], label=odd)),
        results=tuple(
            replace(r, variant=odd if r.variant == "l1" else r.variant) for r in real.results
        ),
    )
    write(made, tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "<script>alert" not in page
    assert "<img src=x>" not in page
    text = Tags(page).text
    assert odd in text
    assert 'name = "<script>alert(1)</script>"' in text
    assert "The picture sheet could not be drawn" in text  # the runs are not below this folder


def test_a_study_that_has_not_run_has_a_page(
    evidence: Make, result: Callable[..., Result], tmp_path: Path
) -> None:
    nothing = [
        result(label, seed, 0.0, status="missing", metrics={}, per_image={}, cost=Cost())
        for label in ("L1 + cGAN", "L1", "cGAN")
        for seed in range(3)
    ]
    written = write(evidence(changed=nothing), tmp_path)
    assert "sheet.png" not in [path.name for path in written]
    text = Tags((tmp_path / "report.html").read_text("utf-8")).text
    assert "0 of 9 runs" in text
    assert "missing 3/3" in text


def test_a_page_is_written_anew_in_place(real: Evidence, tmp_path: Path) -> None:
    write(real, tmp_path)
    write(replace(real, name="another"), tmp_path)
    assert "another" in (tmp_path / "report.md").read_text("utf-8")
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []
