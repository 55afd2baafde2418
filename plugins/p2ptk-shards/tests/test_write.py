"""`p2ptk shards`: what it writes is what it was given, and others read it too."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import datasets
import fsspec
import numpy as np
import pytest
import torch
import webdataset
from click.testing import CliRunner
from PIL import Image

from p2ptk import Pair, Side, Spec, UserError, create
from p2ptk_shards.command import shards as command
from p2ptk_shards.write import write_tars


def written(*arguments: object) -> tuple[str, Any]:
    """What the command says, and the data set of the spec that it ends with."""
    done = CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    spec = done.stdout.rpartition("-d '")[2].rstrip("'\n")
    return done.stdout, create("dataset", Spec.parse(spec))


def test_files_go_in_byte_by_byte(folder: Path, tmp_path: Path) -> None:
    said, made = written(folder, tmp_path / "out", "--pairs-per-shard", 10)
    assert f"29 pairs in {tmp_path / 'out'}" in said
    names = sorted(path.name for path in (tmp_path / "out").glob("*.tar"))
    assert names == ["train-000000.tar", "train-000001.tar", "train-000002.tar", "val-000000.tar"]
    assert made.split("train").names[:] == [f"{i:04d}" for i in range(24)]
    # webdataset reads it as its own.
    urls = [str(tmp_path / "out" / name) for name in names[:3]]
    samples = list(webdataset.WebDataset(urls, shardshuffle=False))
    assert [s["__key__"] for s in samples] == list(made.split("train").names)
    for sample in samples:
        key = sample["__key__"]
        assert sample["source.png"] == (folder / "train" / "A" / f"{key}.png").read_bytes()
        assert sample["target.jpg"] == (folder / "train" / "B" / f"{key}.jpg").read_bytes()


def test_parquet_that_datasets_reads(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    _, made = written(folder, out, "--parquet", "--pairs-per-shard", 12, "--rows-per-group", 5)
    assert made.split("train").blocks()[0] == [5, 5, 2] * 2
    files = {"train": str(out / "train-*.parquet")}
    cache = str(tmp_path / "hf")
    rows = datasets.load_dataset("parquet", data_files=files, cache_dir=cache)["train"]
    assert rows[3]["key"] == "0003"
    pixels = np.asarray(rows[3]["source"]).transpose(2, 0, 1)
    assert np.array_equal(pixels, made.split("train")[3].source.numpy())


def test_side_by_side_labels_and_dots_in_names(tmp_path: Path, make: Any) -> None:
    for i in range(3):
        labels = np.zeros((8, 8, 3), "uint8")
        labels[i:] = (255, 0, 0)
        both = np.hstack([labels, make.picture(i, (8, 8))])
        (tmp_path / "in").mkdir(exist_ok=True)
        Image.fromarray(both).save(tmp_path / "in" / f"img.{i}.png")
    spec = f"side-by-side:path={tmp_path / 'in'},val_fraction=0,a_kind=labels,"
    spec += "a_palette=['#000000','#ff0000']"
    _, made = written(spec, tmp_path / "out")
    files = create("dataset", Spec.parse(spec))
    assert made.a == files.a
    assert made.split("train").names[0] == "img_0"
    for i in range(3):
        assert torch.equal(made.split("train")[i].source, files.split("train")[i].source)
        assert torch.equal(made.split("train")[i].target, files.split("train")[i].target)


class Made:
    """Pairs that are no files: classes, and 16-bit measurements in two channels."""

    a, b = Side("labels", classes=5), Side("values", range=(0.0, 9.0))

    def splits(self) -> tuple[str, ...]:
        return ("train",)

    def split(self, name: str) -> list[Pair]:
        rng = torch.Generator().manual_seed(0)
        return [
            Pair(
                torch.randint(5, (1, 6, 7), generator=rng, dtype=torch.uint8),
                torch.rand(2, 6, 7, generator=rng),
                f"p{i}",
            )
            for i in range(3)
        ]


def test_pairs_that_are_no_files_lose_nothing(tmp_path: Path, bucket: str) -> None:
    for out in (str(tmp_path / "out"), f"{bucket}/out"):
        write_tars(Made(), out, 2, lambda n: None)
        made = create(
            "dataset",
            {"name": "webdataset", "path": out, "a_kind": "labels", "a_classes": 5,
             "b_kind": "values", "b_range": [0.0, 9.0]},
        )  # fmt: skip
        for pair, given in zip(made.split("train"), Made().split("train"), strict=True):
            assert torch.equal(pair.source, given.source)
            assert torch.equal(pair.target, given.target)


def test_the_list_beside_a_shard_spares_reading_it(
    folder: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from p2ptk_shards import headers

    out = f"{bucket}/out"
    write_tars(create("dataset", {"name": "two-folders", "path": str(folder)}), out, 10, int)
    asked: list[int] = []
    real = headers.read_range

    def counted(url: str, start: int, end: int) -> bytes:
        asked.append(end - start)
        return real(url, start, end)

    monkeypatch.setattr(headers, "read_range", counted)
    spec = {"name": "webdataset", "path": out}
    listed = create("dataset", spec)
    assert asked == [512] * 4  # the last header of each, to see that the list is of this shard
    # The shards change places: the lists are others', and the headers themselves are read.
    fs = fsspec.filesystem("memory")
    for name in fs.glob("/bucket/out/*.members.json"):
        fs.pipe_file(name, fs.cat_file(f"/bucket/out/val-000000.tar{headers.LIST}"))
    fs.mv("/bucket/out/train-000002.tar", "/bucket/out/train-000003.tar")
    again = create("dataset", spec)
    assert list(again.split("train").names) == list(listed.split("train").names)
    assert max(asked) > 512


@pytest.mark.parametrize("page", ["README.md", "../../docs/your-data.md"])
def test_the_documents_commands_parse(page: str) -> None:
    text = Path(__file__).parents[1].joinpath(page).read_text("utf-8")
    found = re.findall(r"^p2ptk shards (.*)$|`p2ptk shards ([^`]+/)`", text, re.MULTILINE)
    assert found
    for line, inline in found:
        words = shlex.split(line.partition("#")[0] or inline)
        assert len(command.make_context("shards", words).params["data"]) > 1
    for spec in re.findall(r"-d '?((?:webdataset|hf):[^' ]+)", text):
        assert Spec.parse(spec).params["path"]


def test_all_or_nothing(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(Made):
        def split(self, name: str) -> Any:
            pairs = super().split(name)
            return [*pairs[:2], pairs[2]._replace(name="p0")]

    with pytest.raises(UserError, match="two pairs would have the key 'p0'"):
        write_tars(Failing(), str(tmp_path / "out"), 1, lambda n: None)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_text("mine")
    with pytest.raises(UserError, match="is there already: name a new folder"):
        write_tars(Made(), str(tmp_path / "there"), 1, lambda n: None)
