"""`p2ptk watch`: one frame, a run that goes on, and how it ends."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

Command = Callable[..., Any]


def line(step: int) -> str:
    values = {"step": step, "epoch": step / 10, "g_l1": 40.0 - step, "d_real": 0.5, "d_fake": 0.6}
    return json.dumps(values) + "\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "run"
    (place / "samples").mkdir(parents=True)
    (place / "run.toml").write_text("[train]\nsteps = 100\n")
    (place / "metrics.jsonl").write_text(line(1) + line(2))
    Image.new("RGB", (60, 40), (200, 30, 30)).save(place / "samples" / "000002.png")
    return place


def test_once(command: Command, folder: Path) -> None:
    done = command("watch", folder, "--once")
    assert done.code == 0
    assert "step 2 of 100" in done.out
    assert "generator  l1 38" in done.out
    assert "▀" not in done.out  # without colours a picture is nothing
    assert f"sample: {folder / 'samples' / '000002.png'}" in done.out


def test_what_is_no_run(command: Command, tmp_path: Path) -> None:
    assert "there is no run folder" in command("watch", tmp_path / "x").err
    done = command("watch", tmp_path, "--once")
    assert done.code == 2
    assert "holds no run" in done.err
    assert command("watch", tmp_path, "--every", "0").code == 2


def test_it_needs_no_torch(folder: Path) -> None:
    program = (
        "import sys; from p2ptk.cli import main\n"
        f"try: main(['watch', {str(folder)!r}, '--once'])\n"
        "except SystemExit: pass\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("way", ["q", "Ctrl-C"])
def test_it_follows_and_ends(folder: Path, way: str) -> None:
    import pty

    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "90", "LINES": "30"}
    words = [sys.executable, "-m", "p2ptk", "watch", str(folder), "--every", "0.1"]
    process = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)

    def read(text: bytes) -> bytes:
        """What is shown until a text comes, or until the end for none."""
        seen, until = b"", time.monotonic() + 60
        while not text or text not in seen:
            assert time.monotonic() < until, seen[-2000:]
            if select.select([ours], [], [], 0.1)[0]:
                try:
                    seen += os.read(ours, 65536)
                except OSError:  # the other end is closed
                    return seen
        return seen

    try:
        read(b"step 2 of 100")
        read("▀".encode())
        with (folder / "metrics.jsonl").open("a") as file:
            file.write(line(3))
        read(b"step 3 of 100")
        if way == "q":
            os.write(ours, b"q")
        else:
            process.send_signal(signal.SIGINT)
        assert b"Traceback" not in read(b"")
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
