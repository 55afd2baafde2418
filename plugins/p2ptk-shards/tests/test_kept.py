"""What is kept: decoded once by whoever asks first, within a size, and made again when gone."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from p2ptk import UserError, create
from p2ptk_shards import decode, index
from p2ptk_shards.kept import Kept


def spec(shards: Path, cache: Path, **params: Any) -> dict[str, Any]:
    return {"name": "webdataset", "path": str(shards), "cache": str(cache), **params}


def test_nothing_is_decoded_twice(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    real = decode.read_picture
    monkeypatch.setattr(decode, "read_picture", lambda d, s, n: read.append(n) or real(d, s, n))
    part = create("dataset", spec(shards, tmp_path)).split("train")
    opening = len(read)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(part.__getitem__, range(24)))
    again = create("dataset", spec(shards, tmp_path)).split("train")
    assert torch.equal(again[7].source, part[7].source)
    assert len(read) - 2 * opening == 48


def test_the_least_used_goes(tmp_path: Path) -> None:
    kept = Kept(tmp_path, 250)
    for name in ("a", "b", "c", "d"):
        kept.file(name, lambda place: place.write_bytes(b"x" * 100) and None)  # type: ignore[func-returns-value]
    there = sorted(p.name for p in tmp_path.iterdir() if not p.name.startswith("."))
    assert len(there) == 2
    assert "d" in there


def test_a_folder_that_is_too_small_slows_and_does_no_harm(
    shards: Path, folder: Path, tmp_path: Path
) -> None:
    small = create("dataset", spec(shards, tmp_path, cache_gb=1e-6)).split("train")
    files = create("dataset", {"name": "two-folders", "path": str(folder)}).split("train")
    assert all(torch.equal(small[i].target, files[i].target) for i in (0, 23, 7, 0))
    assert len(list(tmp_path.glob("shards/*.pixels"))) == 1


def test_what_is_gone_is_made_again(shards: Path, tmp_path: Path) -> None:
    part = create("dataset", spec(shards, tmp_path)).split("train")
    first = part[0]
    for path in tmp_path.glob("shards/*.pixels"):
        path.unlink()
    assert torch.equal(part[0].source, first.source)


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail(place: Path) -> None:
        place.write_bytes(b"half")
        raise UserError("no")

    with pytest.raises(UserError, match="no"):
        Kept(tmp_path, 100).file("a", fail)
    assert [p.name for p in tmp_path.iterdir() if p.suffix != ".lock"] == []


def test_the_index_is_made_once_and_anew_for_other_shards(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Any
) -> None:
    data = make.file_of(make.picture(0))
    files = {f"{i}.{side}.png": data for i in range(2) for side in ("source", "target")}
    path = make.tar(tmp_path / "t.tar", files)
    made = []
    real = index._made
    monkeypatch.setattr(index, "_made", lambda *args: made.append(1) or real(*args))
    one = {"name": "webdataset", "path": path}
    assert [len(create("dataset", one).split("train")) for _ in range(3)] == [2] * 3
    assert len(made) == 1
    make.tar(tmp_path / "t.tar", {k: v for k, v in files.items() if k[0] == "0"})
    assert len(create("dataset", one).split("train")) == 1
    assert len(made) == 2
    for rows in (tmp_path / "p2ptk-cache").rglob("rows.npy"):
        rows.write_bytes(rows.read_bytes()[:-8])
    assert len(create("dataset", one).split("train")) == 1
    assert len(made) == 3


def test_an_index_that_can_not_be_kept(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("P2PTK_CACHE", str(tmp_path / "file"))
    part = create("dataset", {"name": "webdataset", "path": str(shards)}).split("train")
    assert part.names[23] == "0023"
    assert torch.equal(pickle.loads(pickle.dumps(part))[3].source, part[3].source)
    assert "the index of the shards is not kept" in caplog.text


def test_processes_that_open_at_once_make_one_index(
    shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    real = index._made
    monkeypatch.setattr(index, "_made", lambda *args: made.append(1) or real(*args))
    spec = {"name": "webdataset", "path": f"{shards}/train-*.tar"}
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: create("dataset", spec), range(4)))
    assert [len(one.split("train")) for one in found] == [24] * 4
    assert len(made) == 1


def test_a_place_that_can_not_be_written(shards: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"the cache folder .*file.* can't be written"):
        create("dataset", spec(shards, tmp_path / "file")).split("train")[0]
