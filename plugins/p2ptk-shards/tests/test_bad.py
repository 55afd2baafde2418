"""What a user can get wrong is answered by one sentence that says what, and where."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from p2ptk import UserError, create, fit


def refused(name: str, **params: Any) -> str:
    """What is said of a dataset that does not open, or whose first three pairs do not decode."""

    def use() -> None:
        part = create("dataset", {"name": name, **params}).split("train")
        [part[i] for i in range(3)]

    with pytest.raises(UserError) as caught:
        use()
    said = str(caught.value)
    assert "\n" not in said
    return said


def test_shards_that_are_not_there(shards: Path, bucket: str) -> None:
    said = refused("webdataset", path=f"{shards}/train-{{000000..000009}}.tar")
    assert said.startswith(f"there is no file {shards}/train-000004.tar: did you mean 'train-00000")
    assert "no such" not in refused("webdataset", path=f"{shards}/nothing-*.tar")
    said = refused("webdataset", path=str(shards.with_name(shards.name[:-1] + "x")))
    assert "did you mean" in said
    assert refused("webdataset", path=f"{bucket}/one.tar") == f"there is no file {bucket}/one.tar."
    assert refused("hf", path=f"{bucket}/no") == f"there is no folder {bucket}/no."
    assert "holds no files that end with .parquet" in refused("hf", path=str(shards))


def test_what_is_no_whole_tar(shards: Path, make: Any, tmp_path: Path) -> None:
    content = (shards / "train-000000.tar").read_bytes()
    path = tmp_path / "t.tar"
    for data, words in (
        (content[:3000], "is cut off within its member 0000.source.png"),
        (content[: 512 * 7], "is cut off"),
        (b"", "is empty"),
        (b"no tar" * 500, "is no tar file"),
        (gzip.compress(content), "it is compressed; unpack it"),
    ):
        path.write_bytes(data)
        said = refused("webdataset", path=str(path))
        assert words in said
        assert str(path) in said


def test_keys_without_a_partner(make: Any, tmp_path: Path) -> None:
    data = make.file_of(make.picture(0))
    lone = make.tar(tmp_path / "t.tar", {"0.source.png": data, "1.source.png": data,
                                         "1.target.png": data})  # fmt: skip
    assert refused("webdataset", path=lone) == (
        f"{lone}: '0' has no member that ends with .target."
    )
    other = make.tar(tmp_path / "u.tar", {"0.jpg": data})
    said = refused("webdataset", path=other)
    assert "they end with .jpg" in said
    assert "both=jpg" in said
    twice = make.tar(tmp_path / "v.tar", {"0.source.png": data, "0.source.jpg": data})
    assert "two members .source.png and .source.jpg" in refused("webdataset", path=twice)
    assert "both=jpg" in refused("webdataset", path=lone, a="jpg", b="jpg")


@pytest.mark.parametrize("cache", [False, True])
def test_pictures_that_do_not_decode(cache: bool, make: Any, tmp_path: Path) -> None:
    data, wide = make.file_of(make.picture(0)), make.file_of(make.picture(0, (8, 9)))
    extra = {"cache": str(tmp_path / "c")} if cache else {}
    files = {"0.source.png": data, "0.target.png": data, "k.source.png": data}
    for bad, words in ((data[:300], "k.target.png can't be read"), (wide, "is 9x8")):
        path = make.tar(tmp_path / "t.tar", files | {"k.target.png": bad})
        said = refused("webdataset", path=path, **extra)
        assert words in said
        assert path in said
    path = make.tar(tmp_path / "u.tar", {"0.png": wide})
    assert "0.png: its width 9 is odd" in refused("webdataset", path=path, both="png", **extra)


def test_columns(parquet: Path, saved: Path) -> None:
    for path in (parquet, saved):
        assert "no column 'sauce': did you mean 'source'?" in refused(
            "hf", path=str(path), a="sauce"
        )
        said = refused("hf", path=str(path), b="caption")
        assert "the column 'caption' (string) holds no pictures" in said
        assert "columns that do are source, target" in said


def test_parquet_that_is_damaged_or_empty(tmp_path: Path, make: Any) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(b"PAR1 and no more")
    assert "damaged, or no parquet" in refused("hf", path=str(path))
    good = make.file_of(make.picture(0))
    pq.write_table(pa.table({"source": [good, None], "target": [good, good]}), path)
    assert f"{path}: row 1, column source holds nothing" in refused("hf", path=str(path))
    pq.write_table(pa.table({"source": [good], "target": [good[:200]]}), path)
    assert f"{path}: row 0, column target can't be read" in refused("hf", path=str(path))
    empty = pa.array([], pa.binary())
    pq.write_table(pa.table({"source": empty, "target": empty}), path)
    assert "holds no rows" in refused("hf", path=str(path))


def test_the_hub_is_not_asked() -> None:
    said = refused("hf", path="someone/facades")
    assert "the Hub is not asked" in said
    assert "hf://datasets/someone/facades" in said


def test_a_package_that_is_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(url: str) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("p2ptk_shards.places.url_to_fs", lacking)
    assert refused("webdataset", path="s3://bucket/x.tar") == (
        "s3://bucket/x.tar can't be opened: s3:// needs the package s3fs: pip install s3fs."
    )


def test_a_protocol_that_there_is_not() -> None:
    assert "did you mean s3://?" in refused("webdataset", path="s33://bucket/x.tar")


def test_a_shard_that_is_replaced_meanwhile(shards: Path, bucket: str, make: Any) -> None:
    make.upload(shards, f"{bucket}/pairs")
    part = create("dataset", {"name": "webdataset", "path": f"{bucket}/pairs"}).split("train")
    with fsspec.open(f"{bucket}/pairs/train-000000.tar", "wb") as file:
        file.write(b"short")
    with pytest.raises(UserError, match="was it replaced meanwhile"):
        part[0]


def test_floats_without_a_range_and_mixed_channels(make: Any, tmp_path: Path) -> None:
    npy = io.BytesIO()
    np.save(npy, np.float32(np.eye(32)))
    data = make.file_of(make.picture(0))
    path = make.tar(tmp_path / "t.tar", {"0.source.png": data, "0.target.npy": npy.getvalue()})
    assert "b_range=[low,high] (this picture goes from 0 to 1)" in refused("webdataset", path=path)

    grey = make.file_of(make.picture(0)[..., 0])
    files = {f"{i}.{s}.png": data for i in range(6) for s in ("source", "target")}
    path = make.tar(tmp_path / "u.tar", files | {"5.source.png": grey})
    with pytest.raises(UserError, match="channels should agree"):
        fit(
            data={"name": "webdataset", "path": path, "val": path},
            output=tmp_path / "run",
            size=32,
            generator="unet:depth=3,width=4",
            discriminator="patchgan:layers=1,width=4",
            train__steps=2,
            train__batch_size=6,
            device="cpu",
            quiet=True,
        )
