"""Two folders become side-by-side images that hold the same numbers, whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from p2ptk.dataprep.combine import Combined, combine
from p2ptk.datasets.images import read_image
from p2ptk.datasets.side_by_side import SideBySide
from p2ptk.datasets.two_folders import TwoFolders
from p2ptk.datasets.write import write_image
from p2ptk.errors import UserError

NUMBERS = torch.Generator().manual_seed(0)


def image(channels: int = 3, size: tuple[int, int] = (12, 16), dtype: Any = torch.uint8) -> Tensor:
    if dtype == torch.float32:
        return torch.rand(channels, *size, generator=NUMBERS)
    high = 256 if dtype == torch.uint8 else 65536
    return torch.randint(high, (channels, *size), generator=NUMBERS, dtype=torch.int32).to(dtype)


def write(path: Path, x: Tensor) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, x)


def test_splits_and_folders_are_kept_and_nothing_is_lost(tmp_path: Path) -> None:
    sides = {}
    for name in ("train/sub/1", "train/2", "val/3"):
        sides[name] = image(), image()
        write(tmp_path / "A" / f"{name}.png", sides[name][0])
        write(tmp_path / "B" / f"{name}.bmp", sides[name][1])
    told: list[tuple[int, int]] = []
    done = combine(
        tmp_path / "A", tmp_path / "B", tmp_path / "out", progress=lambda *x: told.append(x)
    )
    assert done == Combined({"train": 2, "val": 1}, 0)
    assert told[-1] == (3, 3)
    written = SideBySide(path=tmp_path / "out")
    assert written.splits() == ("train", "val")
    for split in ("train", "val"):
        for pair in written.split(split):
            a, b = sides[f"{split}/{pair.name}"]
            assert torch.equal(pair.source, a)
            assert torch.equal(pair.target, b)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["A", "B", "out"]


@pytest.mark.parametrize(
    ("channels", "dtype", "format"),
    [
        (1, torch.uint16, "png"),
        (3, torch.uint16, "png"),
        (4, torch.uint8, "png"),
        (6, torch.uint16, "tif"),
        (2, torch.float32, "tif"),
    ],
)
def test_depth_and_channels_are_kept(
    tmp_path: Path, channels: int, dtype: Any, format: Any
) -> None:
    a, b = image(channels, dtype=dtype), image(channels, dtype=dtype)
    write(tmp_path / "A" / "x.tif", a)
    write(tmp_path / "B" / "x.npy", b)
    combine(tmp_path / "A", tmp_path / "B", tmp_path / "out", format=format)
    both = read_image(tmp_path / "out" / f"x.{format}")
    assert both.dtype == dtype
    assert torch.equal(both, torch.cat([a, b], -1))


def test_a_grey_side_gets_three_channels(tmp_path: Path) -> None:
    a, b = image(3), image(1)
    write(tmp_path / "A" / "x.png", a)
    write(tmp_path / "B" / "x.png", b)
    done = combine(tmp_path / "A", tmp_path / "B", tmp_path / "out")
    assert done == Combined({"": 1}, 1)
    assert torch.equal(read_image(tmp_path / "out" / "x.png")[..., 16:], b.expand(3, -1, -1))


def test_everything_that_does_not_fit_is_listed_and_nothing_written(tmp_path: Path) -> None:
    for name, a, b in (
        ("good", image(), image()),
        ("size", image(), image(size=(12, 17))),
        ("depth", image(), image(dtype=torch.uint16)),
        ("alpha", image(), image(4)),
        ("float", image(1, dtype=torch.float32), image(1, dtype=torch.float32)),
        ("bands", image(5), image(5)),
    ):
        write(tmp_path / "A" / f"{name}.tif", a)
        write(tmp_path / "B" / f"{name}.tif", b)
    write(tmp_path / "A" / "alone.png", image())
    (tmp_path / "B" / "cut.png").write_bytes(b"\x89PNG")
    write(tmp_path / "A" / "cut.png", image())
    with pytest.raises(UserError) as error:
        combine(tmp_path / "A", tmp_path / "B", tmp_path / "out")
    said = str(error.value)
    assert said.startswith("nothing was written: 7 problems")
    for words in (
        "alone.png: it has no partner alone.* in",
        "alpha.tif: it has 3 channels, but",
        "bands.tif: a PNG can't hold 5 channels; write TIFF with --format tif",
        "cut.png: it is not an image",
        "depth.tif: it holds uint8, but",
        "float.tif: a PNG can't hold float values",
        "size.tif: it is 16x12, but",
    ):
        assert words in said
    assert not (tmp_path / "out").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["A", "B"]


def test_a_fault_on_the_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(3):
        write(tmp_path / "A" / f"{i}.png", image())
        write(tmp_path / "B" / f"{i}.png", image())

    def fail(path: Path, x: Tensor) -> None:
        if path.name == "2.png":
            raise OSError(28, "No space left on device")
        write_image(path, x)

    monkeypatch.setattr("p2ptk.dataprep.combine.write_image", fail)
    with pytest.raises(Exception, match="the disk is full"):
        combine(tmp_path / "A", tmp_path / "B", tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["A", "B"]


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    a, b = image(), image()
    write(tmp_path / "A" / "x.png", a)
    write(tmp_path / "B" / "x.png", b)
    out = tmp_path / "out"
    out.mkdir()
    combine(tmp_path / "A", tmp_path / "B", out)  # an empty folder is fine
    (out / "mine.txt").write_text("kept")
    with pytest.raises(UserError, match="out is not empty: choose another folder, or --force"):
        combine(tmp_path / "A", tmp_path / "B", out)
    write(tmp_path / "A" / "x.png", b)
    combine(tmp_path / "A", tmp_path / "B", out, force=True)
    assert torch.equal(read_image(out / "x.png"), torch.cat([b, b], -1))
    assert (out / "mine.txt").read_text() == "kept"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["A", "B", "out"]


def test_folders_that_can_not_be(tmp_path: Path) -> None:
    write(tmp_path / "A" / "x.png", image())
    write(tmp_path / "B" / "x.png", image())
    a, b = tmp_path / "A", tmp_path / "B"
    for out in (a, a / "in", tmp_path):
        with pytest.raises(UserError, match="overlap"):
            combine(a, b, out)
    with pytest.raises(UserError, match="are the same folder"):
        combine(a, a, tmp_path / "out")
    with pytest.raises(UserError, match="there is no folder"):
        combine(a, tmp_path / "C", tmp_path / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file; give a folder"):
        combine(a, b, tmp_path / "file")
    (tmp_path / "C").mkdir()
    (tmp_path / "D").mkdir()
    with pytest.raises(UserError, match="holds no images"):
        combine(tmp_path / "C", tmp_path / "D", tmp_path / "out")


def test_the_result_is_what_two_folders_give(tmp_path: Path) -> None:
    """Combining changes nothing of what a run sees."""
    for i in range(3):
        for which in ("A", "B"):
            path = tmp_path / "in" / which / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((8, 8, 3), 40 * i + (which == "B"), np.uint8)).save(path)
    combine(tmp_path / "in" / "A", tmp_path / "in" / "B", tmp_path / "out")
    one, other = SideBySide(path=tmp_path / "out"), TwoFolders(path=tmp_path / "in")
    for split in one.splits():
        assert one.split(split).names == other.split(split).names
        for x, y in zip(one.split(split), other.split(split), strict=True):
            assert torch.equal(x.source, y.source)
            assert torch.equal(x.target, y.target)
