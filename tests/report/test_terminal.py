"""A run in a terminal: what is logged is shown, whoever writes it and however far it is."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from p2ptk.report.sheets import save_png
from p2ptk.report.terminal import Watched, frame, half_blocks
from p2ptk.runfolder import RunFolder

Row = dict[str, Any]


def row(step: int, **more: Any) -> Row:
    return {
        "step": step, "epoch": step / 100, "seconds": step * 0.5, "images_per_s": 21.0,
        "g_gan": 0.7, "g_l1": 50.0 - step / 10, "g_loss": 50.7, "d_gan": 0.7, "d_loss": 0.7,
        "d_real": 0.6, "d_fake": 0.8, "lr_g": 2e-4, **more,
    }  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Watched]:
    """A run folder with a log and a sample; run(rows, length="epochs = 2") reads it."""

    def make(rows: list[Row], length: str = "epochs = 2", sample: bool = True) -> Watched:
        folder = RunFolder(tmp_path / "run")
        folder.samples.mkdir(parents=True, exist_ok=True)
        folder.config.write_text(f"size = [64, 64]\n[train]\n{length}\n")
        if rows:
            folder.metrics.write_text("".join(json.dumps(r) + "\n" for r in rows))
        if sample:
            sheet = np.zeros((60, 90, 3), np.uint8)
            sheet[:10] = 255
            sheet[10:, 30:60] = (255, 0, 0)
            save_png(folder.samples / "000100.png", sheet)
        watched = Watched(folder)
        assert watched.update()
        return watched

    return make


def drawn(watched: Watched, width: int = 100, height: int = 40, **more: Any) -> str:
    console = Console(width=width, height=height, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(frame(watched, width, height, **more))
    text = capture.get()
    assert max(len(line) for line in text.splitlines()) <= width
    return text


def test_all_of_it(run: Callable[..., Watched]) -> None:
    rows = [
        row(s, **({"val_psnr": 10 + s / 50} if s % 50 == 0 else {})) for s in range(10, 160, 10)
    ]
    text = drawn(run(rows))
    assert "epoch 1.5 of 2, step 150" in text
    assert "21 img/s" in text
    assert "generator  gan 0.7  l1 35" in text
    assert "discriminator  real 0.6  fake 0.8" in text
    assert "val_psnr" in text
    assert "13  11 to 13" in text
    assert "100: source | output | target" in text
    assert "▀" in text
    assert "49 " in text  # the upper end of l1's plot
    assert "10 " in text.splitlines()[-1] or "150" in text


def test_time_left_and_silence_and_the_end(run: Callable[..., Watched]) -> None:
    steps = "steps = 200"
    assert "25 s left" in drawn(run([row(s) for s in range(10, 160, 10)], steps))
    watched = run([row(s) for s in range(10, 160, 10)], steps)
    watched.written -= 3600
    assert "nothing written for 1 h" in drawn(watched)
    assert "done" in drawn(run([row(s) for s in range(10, 210, 10)], steps))


def test_a_run_that_has_not_logged_yet(run: Callable[..., Watched]) -> None:
    assert "no line is logged yet" in drawn(run([], sample=False))


def test_one_line_and_lines_that_are_not_finite(run: Callable[..., Watched]) -> None:
    assert "step 10" in drawn(run([row(10)]))
    text = drawn(run([row(10), row(20, g_l1=None, d_real=None), row(30, g_gan=None)]))
    assert "l1 47" in text


def test_a_half_written_line_is_left_for_later(run: Callable[..., Watched]) -> None:
    watched = run([row(10), row(20)])
    assert not watched.update()
    with watched.folder.metrics.open("a") as file:
        file.write(json.dumps(row(30))[:40])
    assert watched.update()
    assert [r["step"] for r in watched.rows] == [10, 20]
    with watched.folder.metrics.open("a") as file:
        file.write(json.dumps(row(30))[40:] + "\n")
    assert watched.update()
    assert [r["step"] for r in watched.rows] == [10, 20, 30]


def test_a_half_written_picture_is_left_out(run: Callable[..., Watched]) -> None:
    watched = run([row(10)])
    whole = (watched.folder.samples / "000100.png").read_bytes()
    (watched.folder.samples / "000200.png").write_bytes(whole[: len(whole) // 2])
    assert watched.update()
    assert "source | output" not in drawn(watched)


def test_a_new_sample_is_noticed(run: Callable[..., Watched]) -> None:
    watched = run([row(10)])
    old = watched.folder.samples / "000100.png"
    (watched.folder.samples / "000200.png").write_bytes(old.read_bytes())
    assert watched.update()
    assert "200: source" in drawn(watched)


@pytest.mark.parametrize(("width", "height"), [(40, 20), (80, 24), (60, 70), (200, 60)])
def test_terminals_of_any_size(run: Callable[..., Watched], width: int, height: int) -> None:
    watched = run([row(s) for s in range(10, 160, 10)])
    text = drawn(watched, width, height)
    assert "generator" in text
    assert "discriminator" in text
    assert len(text.splitlines()) <= height + 6
    assert "▀" not in drawn(watched, width, height, pictures=False)


def test_without_a_discriminator(run: Callable[..., Watched]) -> None:
    rows = [{k: v for k, v in row(s).items() if k[:2] != "d_"} for s in (10, 20)]
    text = drawn(run(rows))
    assert "generator" in text
    assert "discriminator  " not in text


def test_half_blocks_hold_two_pixels_each() -> None:
    image = Image.new("RGB", (4, 4), (0, 0, 255))
    image.paste((255, 0, 0), (0, 0, 4, 1))
    text = half_blocks(image, 10, 1)
    assert text.plain == "▀▀▀▀"
    assert str(text.spans[0].style) == "#ff0000 on #0000ff"
    assert half_blocks(image, 10, 5).plain == "▀▀▀▀\n▀▀▀▀"
    assert len(half_blocks(Image.new("RGB", (400, 300)), 40, 100).plain.split("\n")) == 15


def test_reading_changes_nothing(run: Callable[..., Watched]) -> None:
    watched = run([row(10)])
    folder = watched.folder.path
    before = {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in folder.rglob("*")}
    time.sleep(0.01)
    drawn(watched)
    watched.update()
    assert before == {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in folder.rglob("*")}
