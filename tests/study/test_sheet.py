"""The picture sheet: the same inputs for every variant, and what is missing said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from p2ptk.evaluate import score_model
from p2ptk.study.records import Evidence, Variant
from p2ptk.study.sheet import _wrapped, breakable, draw_sheet
from p2ptk.translate import Translator


def test_every_column_shows_the_same_pairs(real: Evidence, pairs: Path, tmp_path: Path) -> None:
    sheet, notes = draw_sheet(real, pairs=2)
    assert sheet is not None
    assert notes == []
    assert [c.heading for c in sheet.columns] == ["source", "target", "gan", "l1"]
    assert len(sheet.names) == 2
    cells = sheet.cells()
    first = np.asarray(Image.open(pairs / "val" / "00.png"))
    np.testing.assert_array_equal(cells[0][0], first[:, :32])
    np.testing.assert_array_equal(cells[0][1], first[:, 32:])
    assert not np.array_equal(cells[0][2], cells[0][3])  # two generators

    sheet.write(tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.width == 4 * 192 + 5 * 4  # small pictures are enlarged
        assert image.height > 2 * 192


def test_the_pictures_are_those_that_were_scored(real: Evidence, pairs: Path) -> None:
    from p2ptk.components import create
    from p2ptk.data import need_split

    sheet, _ = draw_sheet(real, pairs=3)
    assert sheet is not None
    translator = Translator.load(real.root / "gan-0", "cpu", "fp32")
    dataset = create("dataset", f"side-by-side:path={pairs}")
    done = score_model(translator, dataset, need_split(dataset, "val"), ["l1"])
    target, fake = sheet.columns[1].pictures, sheet.columns[2].pictures
    errors = [
        float(torch.mean(torch.abs(a - b))) / 2
        for a, b in zip(target, fake, strict=True)
        if a is not None and b is not None
    ]
    np.testing.assert_allclose(errors, done.per_image["l1"], rtol=1e-4)


def test_a_variant_without_that_seed_shows_another_and_says_so(real: Evidence) -> None:
    results = tuple(
        replace(r, status="crashed") if (r.variant, r.seed) == ("l1", 0) else r
        for r in real.results
    )
    sheet, _ = draw_sheet(replace(real, results=results), pairs=1)
    assert sheet is not None
    # Seed 1 is the one that both have.
    assert [c.heading for c in sheet.columns][2:] == ["gan", "l1"]
    only = tuple(replace(r, status="diverged") if r.variant == "l1" else r for r in real.results)
    sheet, _ = draw_sheet(replace(real, results=only), pairs=1)
    assert sheet is not None
    assert sheet.columns[3].heading == "l1 (diverged)"
    assert sheet.columns[3].pictures == (None,)


def test_pictures_of_another_program_stand_beside(real: Evidence, tmp_path: Path) -> None:
    for name in ("00", "01", "02"):
        (tmp_path / "theirs-0").mkdir(exist_ok=True)
        Image.new("RGB", (32, 32), (255, 0, 0)).save(tmp_path / "theirs-0" / f"{name}.png")
    theirs = Variant("theirs", {}, {}, external=str(tmp_path / "theirs-{seed}"))
    row = replace(real.results[0], key="t", variant="theirs", folder="")
    made = replace(real, variants=(*real.variants, theirs), results=(*real.results, row))
    sheet, notes = draw_sheet(made, pairs=2)
    assert sheet is not None
    assert notes == []
    assert sheet.columns[4].heading == "theirs"
    picture = sheet.cells()[1][4]
    assert picture is not None
    assert picture[0, 0].tolist() == [255, 0, 0]


def test_what_can_not_be_drawn_is_told(real: Evidence, tmp_path: Path) -> None:
    gone = tuple(replace(r, folder="gone") if r.variant == "l1" else r for r in real.results)
    sheet, notes = draw_sheet(replace(real, results=gone), pairs=1)
    assert sheet is not None
    assert sheet.columns[3].pictures == (None,)
    assert notes[0].startswith("l1 is not on the picture sheet: ")

    sheet, notes = draw_sheet(replace(real, protocol=replace(real.protocol, split="nowhere")))
    assert sheet is None
    assert "nowhere" in notes[0]
    assert draw_sheet(replace(real, results=())) == (None, [])


def test_headings_break_after_signs() -> None:
    text = "discriminator=patchgan:layers=3, loss=L1"
    assert "".join(breakable(text)) == text
    assert _wrapped(text, 20) == ["discriminator=", "patchgan:layers=3,", "loss=L1"]
    assert _wrapped("source", 20) == ["source"]
