"""A set is fetched once, recorded, and compared with its record ever after."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from p2ptk.dataprep.archives import ARCHIVES, BASE
from p2ptk.dataprep.fetch import Fetched, fetch
from p2ptk.errors import P2ptkError, UserError

Serve = Callable[..., Any]
FACADES = ARCHIVES["facades"]


def get(site: Any, out: Path, **more: Any) -> Fetched:
    return fetch(FACADES, out, url=site.url, wait=0.0, **more)


def test_a_set_and_its_record(serve: Serve, tmp_path: Path, small_set: bytes) -> None:
    told: list[str] = []
    done = get(serve(small_set), tmp_path / "data" / "toy", progress=lambda w, *_: told.append(w))
    assert done.new
    assert done.counts == {"train": 4, "val": 1}
    assert {"download", "unpack"} == set(told)
    assert sorted(p.name for p in (tmp_path / "data").iterdir()) == ["toy", "toy.tar.gz.json"]
    record = json.loads((tmp_path / "data" / "toy.tar.gz.json").read_text())
    assert record["bytes"] == len(small_set)
    assert record["sha256"] == hashlib.sha256(small_set).hexdigest()
    assert record["format"] == 1


def test_what_is_there_is_not_fetched_again(serve: Serve, tmp_path: Path, small_set: bytes) -> None:
    site = serve(small_set)
    get(site, tmp_path / "toy")
    done = get(site, tmp_path / "toy")
    assert not done.new
    assert done.counts == {"train": 4, "val": 1}
    assert len(site.asked) == 1


def test_another_archive_than_the_recorded_one(
    serve: Serve, tmp_path: Path, small_set: bytes, pack: Any
) -> None:
    site = serve(small_set)
    get(site, tmp_path / "toy")
    shutil.rmtree(tmp_path / "toy")
    site.content = small_set + b"!"
    with pytest.raises(P2ptkError, match=r"has \d+ bytes, where \d+ were recorded on 20"):
        get(site, tmp_path / "toy")
    # As many bytes, but others: only the sum tells.
    other = bytearray(small_set)
    other[5] ^= 1  # the time in gzip's header, which nothing checks
    site.content = bytes(other)
    with pytest.raises(P2ptkError, match=r"is not what was fetched on .* its SHA-256 is"):
        get(site, tmp_path / "toy")
    assert not (tmp_path / "toy").exists()
    (tmp_path / "toy.tar.gz").unlink()
    site.content = small_set
    assert get(site, tmp_path / "toy").new


def test_an_archive_that_lies_there_is_taken(
    serve: Serve, tmp_path: Path, small_set: bytes
) -> None:
    site = serve(b"")
    (tmp_path / "toy.tar.gz").write_bytes(small_set)
    done = get(site, tmp_path / "toy")
    assert done.new
    assert site.asked == []
    assert done.record.url == str(tmp_path / "toy.tar.gz")
    assert (tmp_path / "toy.tar.gz").exists()  # it was not ours to delete


def test_keep(serve: Serve, tmp_path: Path, small_set: bytes) -> None:
    get(serve(small_set), tmp_path / "toy", keep=True)
    assert (tmp_path / "toy.tar.gz").read_bytes() == small_set


def test_a_folder_in_the_way(serve: Serve, tmp_path: Path, small_set: bytes) -> None:
    site = serve(small_set)
    (tmp_path / "toy").mkdir()
    assert get(site, tmp_path / "toy").new  # empty
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x").touch()
    (tmp_path / "file").touch()
    for name in ("mine", "file"):
        with pytest.raises(UserError, match="is there already, and was not fetched"):
            get(site, tmp_path / name)


def test_a_disk_that_is_too_small(
    serve: Serve, tmp_path: Path, small_set: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 100}))
    with pytest.raises(P2ptkError, match=r"has 0\.0 GiB free, and .* are needed"):
        get(serve(small_set), tmp_path / "toy")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(P2ptkError, match=r"16\.8 are needed"):  # before the server is asked
        fetch(ARCHIVES["edges2handbags"], tmp_path / "bags")


def test_a_hostile_archive_leaves_no_folder(serve: Serve, tmp_path: Path, pack: Any) -> None:
    site = serve(pack([("../evil.png", b"x")]))
    with pytest.raises(P2ptkError, match="is refused"):
        get(site, tmp_path / "toy")
    assert not (tmp_path / "toy").exists()
    assert not (tmp_path.parent / "evil.png").exists()
    assert not (tmp_path / "toy.tar.gz.json").exists()


def test_a_damaged_record(serve: Serve, tmp_path: Path, small_set: bytes) -> None:
    for text, words in (("{", "is damaged"), ('{"format": 9}', "newer p2ptk"), ("[]", "damaged")):
        (tmp_path / "toy.tar.gz.json").write_text(text)
        with pytest.raises(UserError, match=words):
            get(serve(small_set), tmp_path / "toy")


def test_the_sets() -> None:
    assert set(ARCHIVES) == {
        "facades", "maps", "cityscapes", "edges2shoes", "edges2handbags", "night2day",
    }  # fmt: skip
    for name, archive in ARCHIVES.items():
        assert archive.url == f"{BASE}/{name}.tar.gz"
        # The side that the paper starts from: labels, edges and day are B, B is A in others.
        painted = "BtoA" if name in ("facades", "cityscapes", "night2day") else "AtoB"
        assert f"--direction {painted}" in archive.options
