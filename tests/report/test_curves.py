from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from p2ptk.report.curves import POINTS, draw_curves, read_columns, smooth, terms


def log(rows: int, **changed: Any) -> list[dict[str, Any]]:
    """A log as a pix2pix run writes it."""
    made = []
    for number in range(1, rows + 1):
        falling = math.exp(-number / rows)
        real, fake, gan, l1 = 0.6 * falling, 0.7 * falling, 1.0, 40 * falling
        row = {"step": number * 10, "epoch": number / 10, "lr_g": 2e-4, "lr_d": 2e-4}
        row |= {"d_real": real, "d_fake": fake, "d_gan": (real + fake) / 2}
        row |= {"d_loss": (real + fake) / 2, "g_gan": gan, "g_l1": l1, "g_loss": gan + l1}
        made.append(row | changed)
    return made


@pytest.mark.parametrize("rows", [[], log(1)], ids=["none", "one"])
def test_too_short_a_log_draws_nothing(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    assert draw_curves(rows, tmp_path / "curves.png") is False
    assert list(tmp_path.iterdir()) == []


def test_draws_a_picture_fit_for_a_readme(tmp_path: Path) -> None:
    path = tmp_path / "curves.png"
    path.write_bytes(b"the one before")
    assert draw_curves(log(50), path) is True
    with Image.open(path) as image:
        assert image.size == (1200, 660)
        pixels = np.asarray(image.convert("RGB"))
    assert (pixels[0, 0] == 255).all()
    for colour in ([0, 114, 178], [213, 94, 0]):  # both panels have lines in both colours
        drawn = (np.abs(pixels.astype(int) - colour).sum(2) < 12).sum(0)
        assert drawn[:600].sum() > 200
        assert drawn[600:].sum() > 200
    assert [p.name for p in tmp_path.iterdir()] == ["curves.png"]


def test_the_same_log_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        draw_curves(log(20), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    "rows",
    [
        [{"step": 1}, {"step": 2}],
        [{"step": 1, "g_loss": 1.0}, {"step": 2, "g_loss": 0.5}],
        log(5, g_gan=-0.5),
        log(5, g_gan=0.0, lr_g=0.0, lr_d=1e-4),
        log(5, g_gan=None, g_l1=None, g_loss=None),
        [*log(5), {"step": 60, "g_new": 1.0, "note": "text"}],
        [{k: v for k, v in row.items() if k[:2] != "d_"} for row in log(5)],
        [{**row, **{f"g_a-rather-long-name-{i}": i + 1.0 for i in range(9)}} for row in log(5)],
    ],
    ids=["bare", "total", "negative", "zeros", "nulls", "ragged", "no-d", "many"],
)
def test_any_log_is_drawn(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    assert draw_curves(rows, tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as image:
        image.load()


def test_terms_of_both_sides() -> None:
    columns = read_columns(log(5))
    assert list(terms(columns, "g")) == ["gan", "l1", "total"]
    assert list(terms(columns, "d")) == ["real", "fake"]  # d_gan is d_loss again
    columns["d_penalty"] = np.ones(5)
    columns["d_loss"] = columns["d_loss"] + 1
    assert list(terms(columns, "d")) == ["real", "fake", "gan", "penalty"]


def test_a_single_term_needs_no_total() -> None:
    rows = [{"step": i, "g_l1": 1.0, "g_loss": 1.0, "d_loss": 2.0} for i in range(3)]
    columns = read_columns(rows)
    assert list(terms(columns, "g")) == ["l1"]
    assert list(terms(columns, "d")) == ["total"]


@given(st.integers(2, 5 * POINTS + 3))
@settings(max_examples=30, deadline=None)
def test_long_logs_are_averaged_not_cut(rows: int) -> None:
    given = [{"step": i, "g_l1": float(i % 7)} for i in range(1, rows + 1)]
    columns = read_columns(given)
    assert len(columns["step"]) == len(columns["g_l1"]) <= POINTS
    assert columns["step"][-1] == rows
    assert (np.diff(columns["step"]) > 0).all()
    stretch = -(-rows // POINTS)
    assert columns["g_l1"][0] == pytest.approx(np.mean([i % 7 for i in range(1, stretch + 1)]))


def test_missing_values_do_not_count_in_averages() -> None:
    rows = [{"step": i, "g_l1": 3.0 if i % 2 else None} for i in range(2 * POINTS)]
    assert read_columns(rows)["g_l1"].tolist() == [3.0] * POINTS


def test_smoothing_keeps_lines_and_calms_noise() -> None:
    line = np.linspace(5, 1, 200)
    inner = slice(20, -20)
    assert np.allclose(smooth(line)[inner], line[inner])
    noise = np.random.default_rng(0).normal(size=200)
    assert smooth(noise).std() < 0.5 * noise.std()
    assert np.allclose(smooth(np.full(200, 2.0)), 2.0)
    assert smooth(np.array([1.0, 2.0, 3.0])).tolist() == [1, 2, 3]  # too few to average


def test_smoothing_steps_over_gaps() -> None:
    values = np.full(100, 4.0)
    values[30:40] = np.nan
    smoothed = smooth(values)
    assert np.isnan(smoothed[30:40]).all()
    assert np.allclose(smoothed[np.isfinite(smoothed)], 4.0)


def test_a_long_log_is_drawn_quickly(tmp_path: Path) -> None:
    draw_curves(log(3), tmp_path / "first.png")  # imports, and the cache of fonts
    rows = log(20_000)
    started = time.process_time()
    assert draw_curves(rows, tmp_path / "curves.png")
    assert time.process_time() - started < 1.0


def test_without_matplotlib_it_says_so_by_its_answer(tmp_path: Path) -> None:
    code = """
import json, sys
sys.modules["matplotlib"] = None
from p2ptk.report.curves import draw_curves
sys.exit(draw_curves(json.loads(sys.argv[1]), sys.argv[2]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(log(3)), tmp_path / "curves.png"],
        capture_output=True,
        check=True,
    )
    assert done.stderr == done.stdout == b""
    assert list(tmp_path.iterdir()) == []


def test_pyplot_is_left_alone(tmp_path: Path) -> None:
    code = """
import sys
from p2ptk.report.curves import draw_curves
assert draw_curves([{"step": 1}, {"step": 2}], sys.argv[1])
sys.exit("matplotlib.pyplot" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code, tmp_path / "curves.png"], check=True)


def test_validation_has_panels_of_its_own(tmp_path: Path) -> None:
    """Their line is in the third colour, which nothing else here has."""
    rows = log(50)
    draw_curves(rows, tmp_path / "without.png")
    for row in rows[9::10]:
        row |= {"val_psnr": 20.0 + row["step"], "val_l1": 1 / row["step"], "val_none": None}
    draw_curves(rows, tmp_path / "with.png")
    found = []
    for name in ("without", "with"):
        with Image.open(tmp_path / f"{name}.png") as image:
            assert image.size == (1200, 660)
            pixels = np.asarray(image.convert("RGB")).astype(int)
        found.append((np.abs(pixels - [0, 158, 115]).sum(2) < 12).sum(0))
    assert found[0].sum() == 0
    assert found[1][420:800].sum() > 100
    assert found[1][800:].sum() > 100
