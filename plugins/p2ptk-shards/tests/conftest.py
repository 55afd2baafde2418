"""What the tests share: pairs in folders, and the same in shards and parquet."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import datasets
import fsspec
import numpy as np
import pytest
import webdataset
from PIL import Image

from p2ptk import list_components, register
from p2ptk_shards import plugin

COUNT = {"train": 24, "val": 5}
SIZES = {"train": 6, "val": 5}  # pairs of a shard


@pytest.fixture(scope="session", autouse=True)
def _registered() -> None:
    """So that the tests run whether the plugin is installed and switched on, or not."""
    for kind, components in (
        ("dataset", plugin.p2ptk_datasets()),
        ("command", plugin.p2ptk_commands()),
    ):
        for component in components:
            if not list_components(kind, component.name):
                register(kind, component.name, component.target)


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Indices of a test's own, and this plugin alone."""
    monkeypatch.setenv("P2PTK_CACHE", str(tmp_path / "p2ptk-cache"))
    monkeypatch.setenv("P2PTK_PLUGINS", "p2ptk-shards")


def picture(seed: int, size: tuple[int, int] = (32, 32)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (*size, 3)).astype("uint8")


def file_of(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, kind)
    return content.getvalue()


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`two-folders`: PNG sources and JPEG targets, 32x32."""
    top = tmp_path_factory.mktemp("pairs")
    for number, (split, count) in enumerate(COUNT.items()):
        for side in "AB":
            (top / split / side).mkdir(parents=True)
        for i in range(count):
            pixels = picture(1000 * number + i)
            (top / split / "A" / f"{i:04d}.png").write_bytes(file_of(pixels))
            (top / split / "B" / f"{i:04d}.jpg").write_bytes(file_of(255 - pixels, "JPEG"))
    return top


@pytest.fixture(scope="session")
def shards(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same in tar shards, which webdataset's own writer wrote."""
    top = tmp_path_factory.mktemp("shards")
    for split, size in SIZES.items():
        pattern = str(top / f"{split}-%06d.tar")
        with webdataset.ShardWriter(pattern, maxcount=size, verbose=0) as writer:
            for a in sorted((folder / split / "A").iterdir()):
                b = folder / split / "B" / f"{a.stem}.jpg"
                files = {"source.png": a.read_bytes(), "target.jpg": b.read_bytes()}
                writer.write({"__key__": a.stem, **files})
    return top


def rows_of(folder: Path, split: str) -> datasets.Dataset:
    """The pairs of a split as a data set with columns of pictures."""
    columns = {
        side: [{"bytes": p.read_bytes(), "path": p.name} for p in sorted(files.iterdir())]
        for side, files in (("source", folder / split / "A"), ("target", folder / split / "B"))
    }
    kinds = {side: datasets.Image() for side in columns} | {"caption": datasets.Value("string")}
    columns["caption"] = ["words"] * len(columns["source"])
    return datasets.Dataset.from_dict(columns, datasets.Features(kinds))


@pytest.fixture(scope="session")
def parquet(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same in parquet that `datasets` wrote, four rows a group."""
    top = tmp_path_factory.mktemp("parquet") / "data"
    for split in COUNT:
        rows = rows_of(folder, split)
        for half in range(2):
            name = f"{split if split == 'train' else 'validation'}-{half:05d}-of-00002.parquet"
            part = rows.shard(2, half, contiguous=True)
            top.mkdir(exist_ok=True)
            part.to_parquet(top / name, batch_size=4)
    return top.parent


@pytest.fixture(scope="session")
def saved(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same in a folder of save_to_disk."""
    top = tmp_path_factory.mktemp("saved") / "pairs"
    parts = {split: rows_of(folder, split) for split in COUNT}
    datasets.DatasetDict(parts).save_to_disk(str(top))
    return top


@pytest.fixture
def bucket() -> Iterator[str]:
    """An object store in memory."""
    fs = fsspec.filesystem("memory")
    fs.makedirs("/bucket", exist_ok=True)
    yield "memory://bucket"
    fs.rm("/bucket", recursive=True)


class Make:
    """What tests make of pixels and files."""

    picture = staticmethod(picture)
    file_of = staticmethod(file_of)

    @staticmethod
    def tar(path: Path, files: dict[str, bytes], form: int = tarfile.PAX_FORMAT) -> str:
        with tarfile.open(path, "w", format=form) as tar:
            for name, data in files.items():
                about = tarfile.TarInfo(name)
                about.size = len(data)
                tar.addfile(about, io.BytesIO(data))
        return str(path)

    @staticmethod
    def upload(files: Path, url: str) -> None:
        fs, path = fsspec.core.url_to_fs(url)
        for file in sorted(files.iterdir()):
            with fs.open(f"{path}/{file.name}", "wb") as there:
                there.write(file.read_bytes())


@pytest.fixture(scope="session")
def make() -> Make:
    return Make()
