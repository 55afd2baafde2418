from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from p2ptk.contracts import Side
from p2ptk.datasets.photos import Photos
from p2ptk.errors import UserError


def save(path: Path, height: int = 4, width: int = 5, shade: int = 7) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((height, width, 3), shade, np.uint8)).save(path)


def test_both_sides_are_the_same_tensor(tmp_path: Path) -> None:
    for i in range(20):
        save(tmp_path / f"{i:02d}.png", width=5 + i % 2, shade=i)
    data = Photos(path=tmp_path)
    assert data.splits() == ("train", "val")
    train, val = data.split("train"), data.split("val")
    assert (len(train), len(val)) == (18, 2)
    assert set(train.names) | set(val.names) == {f"{i:02d}" for i in range(20)}
    pair = pickle.loads(pickle.dumps(train))[3]
    assert pair.source is pair.target
    assert pair.source.shape == (3, *train.sizes()[3])
    assert pair.source.unique().tolist() == [int(pair.name)]
    assert data.a == data.b == Side()
    again = Photos(path=tmp_path)
    assert again.split("val").names == val.names
    assert Photos(path=tmp_path, split_seed=1).split("val").names != val.names


def test_folders_are_splits(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        save(tmp_path / split / "sub" / "a.png")
    save(tmp_path / "train" / "sub" / "a.jpg")
    data = Photos(path=tmp_path)
    assert data.splits() == ("train", "val", "test")
    assert data.split("train").names == ("sub/a.jpg", "sub/a.png")
    assert data.split("test").names == ("sub/a",)


def test_float_pictures_need_a_range(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.linspace(0, 5, 16, dtype=np.float32).reshape(4, 4))
    with pytest.raises(UserError, match=r"say which values .*: range=\[low,high\] .*from 0 to 5"):
        Photos(path=tmp_path)
    data = Photos(path=tmp_path, kind="values", range=(0, 5))
    assert data.a == Side("values", (0, 5))
    assert data.split("train")[0].target.dtype == torch.float32
    with pytest.raises(UserError, match=r"^range should be \[low, high\]"):
        Photos(path=tmp_path, range=(5, 0))


def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no images"):
        Photos(path=tmp_path)
    save(tmp_path / "a.png")
    save(tmp_path / "b.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "b.png").read_bytes()[:40])
    with pytest.raises(UserError, match=r"1 problem\n.*b\.png: it is not an image"):
        Photos(path=tmp_path)
    data = Photos(path=tmp_path, skip_bad=True)
    assert data.split("train").names == ("a",)
    assert [Path(problem.path).name for problem in data.skipped] == ["b.png"]
    with pytest.raises(UserError, match="no split 'test'"):
        data.split("test")
    with pytest.raises(UserError, match="there is no folder"):
        Photos(path=tmp_path / "none")
