from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from p2ptk.components import Spec, create
from p2ptk.datasets.two_folders import TwoFolders
from p2ptk.datasets.write import write_image
from p2ptk.errors import UserError


def fill(folder: Path, value: int, names: str = "one two three", suffix: str = ".png") -> None:
    for i, name in enumerate(names.split()):
        path = folder / f"{name}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6), (value + i,) * 3).save(path)


LAYOUTS = {
    "sides first": ("A/train", "B/train", "A/test", "B/test"),
    "splits first": ("train/A", "train/B", "test/A", "test/B"),
    "joined": ("trainA", "trainB", "testA", "testB"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(tmp_path: Path, layout: str) -> None:
    a, b, test_a, test_b = (tmp_path / name for name in LAYOUTS[layout])
    fill(a, 10)
    fill(b, 100, suffix=".bmp")
    fill(test_a, 50, "x")
    fill(test_b, 150, "x")
    data = TwoFolders(path=tmp_path)
    assert data.splits() == ("train", "val", "test")
    names = data.split("train").names + data.split("val").names
    assert sorted(names) == ["one", "three", "two"]
    found = data.split("test")[0]
    assert (found.name, found.source.unique().item(), found.target.unique().item()) == (
        "x", 50, 150,
    )  # fmt: skip


def test_two_plain_folders_of_any_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "photos", 10, "s/one s/two.v2 three")
    fill(tmp_path / "maps", 100, "s/one s/two.v2 three", ".gif")
    for data in (
        TwoFolders(path=tmp_path, a="photos", b="maps", val_fraction=0),
        TwoFolders(a=str(tmp_path / "photos"), b=str(tmp_path / "maps"), val_fraction=0),
    ):
        assert data.split("train").names == ("s/one", "s/two.v2", "three")
    monkeypatch.chdir(tmp_path)
    data = create("dataset", Spec.parse("two-folders:a=photos,b=maps,val_fraction=0"))
    assert len(data.split("train")) == 3


def test_sides_may_differ_in_channels_and_depth(tmp_path: Path) -> None:
    write_image((tmp_path / "A").mkdir() or tmp_path / "A/x.tif", torch.zeros(7, 5, 6).byte())
    deep = torch.zeros(1, 5, 6, dtype=torch.uint16)
    write_image((tmp_path / "B").mkdir() or tmp_path / "B/x.png", deep)
    found = TwoFolders(path=tmp_path).split("train")[0]
    assert (found.source.shape, found.target.shape) == ((7, 5, 6), (1, 5, 6))
    assert found.target.dtype == torch.uint16


def test_leftovers_doubles_and_sizes_are_problems(tmp_path: Path) -> None:
    fill(tmp_path / "A", 10, "one two three four five only_a")
    fill(tmp_path / "B", 10, "one two three four five only_b")
    fill(tmp_path / "B", 10, "four", ".bmp")
    Image.new("RGB", (8, 7)).save(tmp_path / "A" / "five.png")
    with pytest.raises(UserError) as caught:
        TwoFolders(path=tmp_path)
    message = str(caught.value)
    assert "4 problems" in message
    assert f"only_a.png: it has no partner only_a.* in {tmp_path / 'B'}" in message
    assert "only_b.png: it has no partner" in message
    assert "four.bmp: it has the same name as four.png" in message
    assert "five.png: it is 8x7, but" in message
    data = TwoFolders(path=tmp_path, skip_bad=True, val_fraction=0)
    assert data.split("train").names == ("one", "three", "two")
    assert len(data.skipped) == 4


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    fill(tmp_path / "A" / "train", 10)
    with pytest.raises(UserError, match=r"there is no folder .*B"):
        TwoFolders(path=tmp_path)
    fill(tmp_path / "B" / "train", 10, "uno due")
    with pytest.raises(UserError, match=r"partner of the same name.*'one' and 'due'"):
        TwoFolders(path=tmp_path)
    (tmp_path / "B" / "val").mkdir()
    with pytest.raises(UserError, match=r"B has a folder for val, .*A has none"):
        TwoFolders(path=tmp_path)
    (tmp_path / "C").mkdir()
    (tmp_path / "D").mkdir()
    with pytest.raises(UserError, match="C holds no images"):
        TwoFolders(path=tmp_path, a="C", b="D")
    with pytest.raises(UserError, match="did you mean 'A'"):
        TwoFolders(path=tmp_path, a="AA", b="B")
