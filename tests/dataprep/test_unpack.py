"""Only plain files below the folder come out of an archive."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from p2ptk.dataprep.unpack import unpack
from p2ptk.errors import P2ptkError

Pack = Callable[[list[Any]], bytes]


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 8)).save(buffer, "PNG")
    return buffer.getvalue()


def unpacked(tmp_path: Path, content: bytes) -> int:
    archive = tmp_path / "set.tar.gz"
    archive.write_bytes(content)
    return unpack(archive, tmp_path / "out")


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_a_set_without_its_outer_folder(tmp_path: Path, small_set: bytes) -> None:
    assert unpacked(tmp_path, small_set) == 5
    files = sorted(
        p.relative_to(tmp_path / "out").as_posix()
        for p in (tmp_path / "out").rglob("*")
        if p.is_file()
    )
    assert files == [*(f"train/{i}.png" for i in range(4)), "val/0.png"]


def test_an_outer_folder_that_holds_one_of_its_own_name(tmp_path: Path, pack: Pack) -> None:
    assert unpacked(tmp_path, pack([("toy/toy/a.png", png())])) == 1
    assert (tmp_path / "out" / "toy" / "a.png").is_file()


def test_a_set_without_an_outer_folder(tmp_path: Path, pack: Pack) -> None:
    assert unpacked(tmp_path, pack([("train/a.png", png()), ("./val/b.png", png())])) == 2
    assert (tmp_path / "out" / "val" / "b.png").read_bytes() == png()


@pytest.mark.parametrize(
    ("member", "words"),
    [
        (("../evil.png", b"x"), "leads out of its folder, '../evil.png'"),
        (("toy/../../evil.png", b"x"), "leads out of its folder"),
        (("toy\\..\\..\\evil.png", b"x"), "leads out of its folder"),
        (("/etc/evil.png", b"x"), "an absolute path"),
        (("C:/evil.png", b"x"), "an absolute path"),
        (("\\\\host\\share\\evil.png", b"x"), "an absolute path"),
        (special("toy/link.png", tarfile.SYMTYPE, "/etc/passwd"), "a link, 'toy/link.png'"),
        (special("toy/inside.png", tarfile.SYMTYPE, "a.png"), "a link"),
        (special("toy/hard.png", tarfile.LNKTYPE, "toy/a.png"), "a link"),
        (special("toy/null", tarfile.CHRTYPE), "something that is no file"),
        (special("toy/pipe", tarfile.FIFOTYPE), "something that is no file"),
        (("toy/a.png", b"again"), "'a.png' twice"),
    ],
)
def test_hostile_archives_are_refused_whole(
    tmp_path: Path, pack: Pack, member: Any, words: str
) -> None:
    with pytest.raises(P2ptkError) as error:
        unpacked(tmp_path, pack([("toy/a.png", png()), member, ("toy/b.png", png())]))
    assert "is refused: it holds" in str(error.value)
    assert words in str(error.value)
    assert [p.name for p in tmp_path.iterdir()] == ["set.tar.gz"]
    assert not list(tmp_path.parent.glob("evil*"))


def test_what_swells_without_end(tmp_path: Path, pack: Pack) -> None:
    with pytest.raises(P2ptkError, match="over 20 times its size"):
        unpacked(tmp_path, pack([("toy/a.png", bytes(30_000_000))]))
    assert [p.name for p in tmp_path.iterdir()] == ["set.tar.gz"]


def test_damaged_archives(tmp_path: Path, small_set: bytes) -> None:
    plain = gzip.decompress(small_set)
    flipped = bytearray(small_set)
    flipped[len(flipped) // 2] ^= 255
    for content in (
        b"<html>log in</html>",
        small_set[:-60],
        bytes(flipped),
        gzip.compress(plain[:700]),
    ):
        with pytest.raises(P2ptkError, match=r"is damaged .*: delete it and fetch it again"):
            unpacked(tmp_path, content)
        assert [p.name for p in tmp_path.iterdir()] == ["set.tar.gz"]


def test_an_archive_without_images(tmp_path: Path, pack: Pack) -> None:
    with pytest.raises(P2ptkError, match="holds no images"):
        unpacked(tmp_path, pack([("toy/read.me", b"text")]))


def test_files_get_our_own_rights(tmp_path: Path, pack: Pack) -> None:
    info = tarfile.TarInfo("toy/a.png")
    info.mode, info.uid, info.size = 0o6777, 12345, len(png())
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        tar.addfile(info, io.BytesIO(png()))
    unpacked(tmp_path, buffer.getvalue())
    (tmp_path / "mine").touch()
    assert (tmp_path / "out" / "a.png").stat().st_mode == (tmp_path / "mine").stat().st_mode
