from __future__ import annotations

import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from p2ptk_gradio.api import as_png
from p2ptk_gradio.limits import Limits, Refused
from p2ptk_gradio.many import pictures_in, write_archive
from p2ptk_gradio.sweep import remove_left, sweep


def archive_of(path: Path, **entries: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def test_archives_and_files(photo: Image.Image, tmp_path: Path) -> None:
    png = as_png(photo)
    entries = {
        "a/x.png": png,
        "b/x.PNG": png,
        "bad.jpg": b"?",
        "notes.txt": b"",
        "__MACOSX/x.png": png,
    }
    packed = archive_of(tmp_path / "some.zip", **entries)
    (tmp_path / "x.png").write_bytes(png)
    found = pictures_in([packed, tmp_path / "x.png"], Limits())
    assert [name for name, _ in found] == ["x.png", "x.PNG", "bad.jpg", "x.png"]
    done = dict(write_archive(tmp_path / "out.zip", found, lambda x: x.rotate(180)))
    assert "this is no picture" in (done.pop("bad.jpg") or "")
    assert done == {"x.png": None, "x.PNG": None}
    with zipfile.ZipFile(tmp_path / "out.zip") as out:
        assert out.namelist() == ["x.png", "x-2.png", "x-3.png"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.zip", "some.zip", "x.png"]


@pytest.mark.parametrize(
    "name", ["../x.png", "/etc/x.png", "a/../../x.png", "..\\x.png", "C:\\x.png"]
)
def test_names_that_lead_out_are_refused(name: str, tmp_path: Path) -> None:
    packed = archive_of(tmp_path / "evil.zip", **{name: b""})
    with pytest.raises(Refused, match="leads out of it"):
        pictures_in([packed], Limits())


def test_limits_of_archives(tmp_path: Path) -> None:
    packed = archive_of(tmp_path / "bomb.zip", **{"x.png": bytes(100_000)})
    ((_, load),) = pictures_in([packed], Limits(upload=1000))
    with pytest.raises(Refused, match="at most"):
        load()
    many = archive_of(tmp_path / "many.zip", **{f"{i}.png": b"" for i in range(11)})
    with pytest.raises(Refused, match="at most 10 pictures"):
        pictures_in([many], Limits(files=10))
    (tmp_path / "no.zip").write_bytes(b"PK no archive")
    with pytest.raises(Refused, match="no ZIP that can be read"):
        pictures_in([tmp_path / "no.zip"], Limits())
    with pytest.raises(Refused, match="there is no picture in it"):
        pictures_in([], Limits())


def test_sweeping(tmp_path: Path) -> None:
    old, new = tmp_path / "a" / "old.png", tmp_path / "b" / "new.png"
    for path in (old, new):
        path.parent.mkdir()
        path.write_bytes(b"x")
    then = time.time() - 100
    os.utime(old, (then, then))
    os.utime(old.parent, (then, then))
    assert sweep(tmp_path, 50) == 1
    assert not old.exists()
    assert new.exists()
    sweep(tmp_path, -1)
    sweep(tmp_path, -1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="processes are asked by a signal")
def test_what_a_killed_server_left_is_removed(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    names = [f"p2ptk-serve-{int(done.stdout)}-a", f"p2ptk-serve-{os.getpid()}-b", "p2ptk-serve-x-c"]
    for name in names:
        (tmp_path / name / "in").mkdir(parents=True)
    remove_left(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(names[1:])
