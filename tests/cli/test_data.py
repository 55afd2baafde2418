"""`p2ptk data ...`: what is printed, written, and refused."""

from __future__ import annotations

import io
import shlex
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import p2ptk
from p2ptk.cli.data import COMMANDS

Command = Callable[..., Any]
EARTH = Path(p2ptk.__file__).parent / "datasets" / "earth"


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """Eight real pairs, one of them shifted, one also in test."""
    folder = tmp_path / "few"
    for split in ("train", "test"):
        (folder / split).mkdir(parents=True)
    for i, path in enumerate(sorted((EARTH / "train").glob("*.jpg"))[2:10]):
        both = np.array(Image.open(path))
        if i == 3:
            both[:, 256:] = np.roll(both[:, 256:], 9, axis=1)
        Image.fromarray(both).save(folder / "train" / f"{i}.png")
    (folder / "test" / "again.png").write_bytes((folder / "train" / "0.png").read_bytes())
    return folder


def test_help_lists_the_commands_and_loads_none(command: Command) -> None:
    done = command("data", "--help")
    assert done.code == 0
    for name, (*_, summary) in COMMANDS.items():
        assert f"{name}  " in done.out
        assert summary in done.out
    assert "p2ptk data" in command("data").err + command("data").out
    assert "  data " in command("--help").out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_examples(command: Command, name: str) -> None:
    done = command("data", name, "--help")
    assert done.code == 0
    assert f"  p2ptk data {name} " in done.out
    assert "--verbose" in done.out


def test_a_wrong_name(command: Command) -> None:
    done = command("data", "inspekt")
    assert done.code == 2
    assert "there is no command `p2ptk data inspekt`: did you mean 'inspect'?" in done.err


def test_inspect_in_words(command: Command, few: Path, tmp_path: Path) -> None:
    done = command("data", "inspect", few, "-o", tmp_path / "look")
    assert done.code == 0
    assert "pairs train 8, test 1" in done.words
    assert "side A 256x256, 3 channels, uint8 from" in done.words
    assert "fault: the same pixels in more than one split: train/0 = test/again" in done.words
    assert "suspicion: B is shifted against A in 1 of 9 pairs: train/3 by 9 px right" in done.words
    assert "note: no split val" in done.words
    assert f"pictures: {tmp_path / 'look' / 'contact.png'}" in done.words
    assert f"p2ptk run -d {few} --direction AtoB --size 256 -o runs/few" in done.out
    assert "twice as wide as high: read as side-by-side" in done.err
    assert Image.open(tmp_path / "look" / "suspects.png").width > 500


def test_inspect_as_json(command: Command, few: Path) -> None:
    found = command("data", "inspect", few, "--json").json
    assert found["splits"] == {"train": 8, "test": 1}
    assert [f["kind"] for f in found["findings"] if f["level"] == "fault"] == ["leak"]
    assert found["files"] == []
    assert found["data"] == f"side-by-side:path={few}"


def test_inspect_lists_files_it_can_not_use(command: Command, few: Path) -> None:
    for i in range(12):
        (few / "train" / f"bad{i:02d}.png").write_text("")
    done = command("data", "inspect", few, "--pairs", "2")
    assert done.code == 0
    assert done.out.count("unusable: ") == 10
    assert "bad00.png: the file is empty" in done.out
    assert "and 2 more files that are unusable" in done.out
    assert "3 of them were looked at" in done.out


def test_inspect_of_the_embedded_set(command: Command) -> None:
    done = command("data", "inspect", "demo", "--pairs", "3")
    assert done.code == 0
    assert "p2ptk run -d demo --direction AtoB" in done.out


@pytest.mark.parametrize("given", ["nowhere/at/all", "side-by-side:path=nowhere", "side-by-site:"])
@pytest.mark.parametrize("name", ["inspect", "palette", "split"])
def test_data_that_is_not_there(command: Command, name: str, given: str, tmp_path: Path) -> None:
    more = ["-o", tmp_path / "out"] if name == "split" else []
    done = command("data", name, given, *more)
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert "Traceback" not in done.err
    assert done.out == ""


def test_palette(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "pairs"
    folder.mkdir()
    colours = np.array([(0, 0, 222), (255, 80, 0), (192, 255, 63)], np.uint8)
    for i, path in enumerate(sorted((EARTH / "train").glob("*.jpg"))[:5]):
        photo = np.array(Image.open(path))[:64, :64]
        labels = colours[np.random.default_rng(i).integers(0, 3, (4, 4))]
        both = np.hstack([photo, labels.repeat(16, 0).repeat(16, 1)])
        Image.fromarray(both).save(folder / f"{i}.jpg", quality=90)
    swatch = tmp_path / "swatch.png"
    done = command("data", "palette", folder, "-o", swatch)
    assert done.code == 0
    assert "holds 3 colours in 5 pictures" in done.out
    line = next(x for x in done.out.splitlines() if x.startswith("data = {"))
    assert 'b_kind = "labels", b_palette = ["#' in line
    assert Image.open(swatch).size == (480, 72)
    found = command("data", "palette", folder, "--side", "target", "--json").json
    assert found["classes"] == 3
    # What is printed for the command line is what the command line takes.
    option = next(x for x in done.out.splitlines() if x.startswith("-d "))
    again = command("data", "inspect", shlex.split(option)[1], "--json").json
    assert again["sides"]["b"]["kind"] == "labels"
    refused = command("data", "palette", folder, "--side", "A")
    assert refused.code == 2
    assert "side A is no label map" in refused.err
    assert "ends with .png" in command("data", "palette", folder, "-o", "x.jpg").err
    for words in (
        ["palette", folder, "-o", folder / "x.png"],
        ["inspect", folder, "-o", folder / "x"],
    ):
        refused = command("data", *words)
        assert refused.code == 2
        assert "lies among the data" in refused.err


def test_combine_then_split_then_inspect(command: Command, few: Path, tmp_path: Path) -> None:
    for path in sorted((few / "train").glob("*.png")):
        both = np.array(Image.open(path))
        for which, half in (("A", both[:200, :256]), ("B", both[:200, 256:])):
            (tmp_path / which).mkdir(exist_ok=True)
            Image.fromarray(half).save(tmp_path / which / path.name)
    done = command("data", "combine", tmp_path / "A", tmp_path / "B", "-o", tmp_path / "both")
    assert done.code == 0
    assert f"8 pairs written to {tmp_path / 'both'}" in done.out
    spec = shlex.split(done.out.split("next: p2ptk data inspect ")[1])[0]
    assert spec == f"side-by-side:path={tmp_path / 'both'}"
    again = command("data", "combine", tmp_path / "A", tmp_path / "B", "-o", tmp_path / "both")
    assert again.code == 2
    assert "is not empty: choose another folder, or --force" in again.err

    out = tmp_path / "divided"
    done = command("data", "split", spec, "-o", out, "--val", "0.25", "--test", "0.125")
    assert done.code == 0
    assert "train 5 pairs val 2 pairs test 1 pairs" in done.words
    spec = shlex.split(done.out.split("next: p2ptk data inspect ")[1])[0]
    found = command("data", "inspect", spec, "--json").json
    assert found["splits"] == {"train": 5, "val": 2, "test": 1}
    assert command("data", "split", spec, "-o", tmp_path / "x").code == 2


def test_split_options_that_make_no_sense(command: Command, few: Path, tmp_path: Path) -> None:
    for options in (["--val", "2"], ["--seed", "x"], ["--group", "("], []):
        done = command("data", "split", few, "-o", tmp_path / "x", *options)
        assert done.code == 2, options
    assert not (tmp_path / "x").exists()


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serves a tiny set on loopback."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for split in ("train", "val"):
            picture = io.BytesIO()
            Image.new("RGB", (8, 4)).save(picture, "PNG")
            info = tarfile.TarInfo(f"facades/{split}/1.png")
            info.size = picture.tell()
            picture.seek(0)
            tar.addfile(info, picture)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(packed.tell()))
            self.end_headers()
            self.wfile.write(packed.getvalue())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/facades.tar.gz"
    server.shutdown()
    server.server_close()
    thread.join()


def test_fetch(command: Command, tmp_path: Path, address: str) -> None:
    out = tmp_path / "facades"
    done = command("data", "fetch", "facades", "-o", out, "--url", address)
    assert done.code == 0, done.err
    assert f"{out}: train 1, val 1; A photo, B labels" in done.out
    assert "sha256 " in done.out
    assert f"next: p2ptk run -d {out} --direction BtoA -o runs/facades" in done.out
    again = command("data", "fetch", "facades", "-o", out, "--url", address)
    assert again.code == 0
    assert "is there already, fetched from http://127.0.0.1" in again.out


def test_fetch_that_can_not_be(command: Command, tmp_path: Path) -> None:
    out = tmp_path / "x"
    done = command("data", "fetch", "facades", "-o", out, "--url", "http://nowhere.invalid/x")
    assert done.code == 1
    assert done.err.startswith("error: nowhere.invalid can't be reached: ")
    assert done.err.count("\n") == 1
    assert command("data", "fetch", "facades", "-o", out, "--url", "x").code == 2
    assert "is not one of 'facades', 'maps'" in command("data", "fetch", "facade").err
    assert list(tmp_path.iterdir()) == []
