"""Pairs of shards and parquet are those of the folder that they were made of."""

from __future__ import annotations

import io
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from p2ptk import create
from p2ptk.testing import conformance

COUNT = {"train": 24, "val": 5}


def same(one: Any, other: Any) -> None:
    """Whether two splits hold the same pixels, in the same order."""
    assert len(one) == len(other)
    for i in range(len(one)):
        assert torch.equal(one[i].source, other[i].source)
        assert torch.equal(one[i].target, other[i].target)


@pytest.mark.parametrize("kind", ["shards", "parquet", "saved"])
def test_the_pixels_are_the_folders(
    kind: str, folder: Path, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    name = "webdataset" if kind == "shards" else "hf"
    spec = {"name": name, "path": str(request.getfixturevalue(kind))}
    files = create("dataset", {"name": "two-folders", "path": str(folder)})
    plain, kept = create("dataset", spec), create("dataset", spec | {"cache": str(tmp_path / "c")})
    for made in (plain, kept, kept):
        assert made.splits() == ("train", "val")
        for split in COUNT:
            same(made.split(split), files.split(split))
    assert list(tmp_path.glob("c/shards/*.pixels"))


def test_names_and_blocks(shards: Path, parquet: Path) -> None:
    tars = create("dataset", {"name": "webdataset", "path": str(shards)}).split("train")
    assert tars.names[:2] == ["0000", "0001"]
    assert tars.blocks() == ([6] * 4, 8)
    rows = create("dataset", {"name": "hf", "path": str(parquet), "window": 3}).split("train")
    assert rows.names[13] == rows[13].name == "train-00001-of-00002/000001"
    assert rows.blocks() == ([4] * 6, 3)
    whole = create("dataset", {"name": "hf", "path": str(parquet), "window": 0}).split("train")
    assert whole.blocks() is None


def test_keys_that_come_again_are_told_apart(shards: Path) -> None:
    twice = f"{shards}/train-000000.tar::{shards}/train-00000{{0,1}}.tar"
    names = create("dataset", {"name": "webdataset", "path": twice}).split("train").names
    assert len(set(names)) == len(names) == 18
    assert names[0] == "00000-train-000000/0000"


def test_shards_by_list_and_glob_and_val_by_parameter(shards: Path) -> None:
    spec = {"name": "webdataset", "path": f"{shards}/train-{{000000..000002}}.tar"}
    made = create("dataset", spec | {"val": f"{shards}/val-*.tar", "test": f"{shards}/val-*"})
    assert {name: len(made.split(name)) for name in made.splits()} == {
        "train": 18,
        "val": COUNT["val"],
        "test": COUNT["val"],
    }


@pytest.mark.parametrize("keep", ["pixels", "files", None])
def test_an_object_store(
    keep: str | None, shards: Path, folder: Path, bucket: str, tmp_path: Path, make: Any
) -> None:
    make.upload(shards, f"{bucket}/pairs")
    spec = {"name": "webdataset", "path": f"{bucket}/pairs"}
    files = create("dataset", {"name": "two-folders", "path": str(folder)})
    if keep:
        spec |= {"cache": str(tmp_path / "kept"), "keep": keep}
    same(create("dataset", spec).split("train"), files.split("train"))
    ending = {"pixels": "*.pixels", "files": "*.tar", None: "*"}[keep]
    assert len(list(tmp_path.glob(f"kept/shards/{ending}"))) == (4 if keep else 0)


@pytest.mark.parametrize("keep", ["pixels", "files", None])
def test_parquet_in_an_object_store(
    keep: str | None, parquet: Path, folder: Path, bucket: str, tmp_path: Path, make: Any
) -> None:
    make.upload(parquet / "data", f"{bucket}/rows/data")
    spec = {"name": "hf", "path": f"{bucket}/rows"}
    if keep:
        spec |= {"cache": str(tmp_path / "kept"), "keep": keep}
    files = create("dataset", {"name": "two-folders", "path": str(folder)})
    same(create("dataset", spec).split("val"), files.split("val"))


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_members_in_any_order_and_with_long_names(form: int, tmp_path: Path, make: Any) -> None:
    """As `tar` packs two folders: all sources, then all targets; with ./ before the names."""
    far = "/".join(["a-rather-long-folder"] * 7)
    keys = ["./0", f"./{far}/1"]
    files = {f"{key}.{side}.png": make.file_of(make.picture(i)) for side in ("b", "a") for i, key in
             enumerate(keys)}  # fmt: skip
    path = make.tar(tmp_path / "t.tar", files | {"./README": b"x", "./0.json": b"{}"}, form)
    part = create("dataset", {"name": "webdataset", "path": path, "a": "a", "b": "b"}).split(
        "train"
    )
    assert list(part.names) == ["0", f"{far}/1"]
    assert np.array_equal(part[1].source.permute(1, 2, 0).numpy(), make.picture(1))


def test_side_by_side_and_plain_endings(tmp_path: Path, make: Any) -> None:
    both = np.hstack([make.picture(0), make.picture(1)])
    path = make.tar(tmp_path / "t.tar", {"x.png": make.file_of(both), "x.txt": b"words"})
    pair = create("dataset", {"name": "webdataset", "path": path, "both": "png"}).split("train")[0]
    assert np.array_equal(pair.target.permute(1, 2, 0).numpy(), make.picture(1))
    path = make.tar(
        tmp_path / "u.tar", {"x.png": make.file_of(both), "x.jpg": make.file_of(both, "JPEG")}
    )
    made = create("dataset", {"name": "webdataset", "path": path, "a": "jpg", "b": "png"})
    assert torch.equal(made.split("train")[0].target[..., :32], pair.source)


def test_labels_and_measurements(tmp_path: Path, make: Any) -> None:
    """Bytes are read as files are: a palette gives classes, numpy's and TIFF's files floats."""
    import tifffile

    labels = np.zeros((8, 8, 3), "uint8")
    labels[4:] = (255, 0, 0)
    heights, tiff, npy = np.float32(np.eye(8)), io.BytesIO(), io.BytesIO()
    tifffile.imwrite(tiff, heights)
    np.save(npy, heights)
    files = {"0.source.png": make.file_of(labels), "0.target.tif": tiff.getvalue()}
    files |= {"1.source.png": make.file_of(labels), "1.target.npy": npy.getvalue()}
    spec = {"name": "webdataset", "path": make.tar(tmp_path / "t.tar", files)}
    spec |= {"a_kind": "labels", "a_palette": ["#000000", "#ff0000"], "b_range": [0.0, 1.0]}
    for cache in ({}, {"cache": str(tmp_path / "c")}):
        part = create("dataset", spec | cache).split("train")
        for i in range(2):
            assert part[i].source.shape == (1, 8, 8)
            assert part[i].source.sum() == 32
            assert np.array_equal(part[i].target[0].numpy(), heights)


@pytest.mark.parametrize("kind", ["shards", "parquet", "saved"])
def test_conforms(kind: str, request: pytest.FixtureRequest) -> None:
    name = "webdataset" if kind == "shards" else "hf"
    path = str(request.getfixturevalue(kind))
    ending = ".tar" if kind == "shards" else ""
    spec = {"name": name, "path": path}
    conformance("dataset", spec, bad=f"{name}:path=no-such-place-for-p2ptk-check{ending}")


def test_a_split_that_travels_is_small(shards: Path, tmp_path: Path) -> None:
    spec = {"name": "webdataset", "path": str(shards), "cache": str(tmp_path / "c")}
    part = create("dataset", spec).split("train")
    part[3]
    sent = pickle.dumps(part)
    assert len(sent) < 3000
    same(pickle.loads(sent), part)
