from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from p2ptk.components import Spec, create
from p2ptk.contracts import Side
from p2ptk.datasets.demo import Demo
from p2ptk.datasets.images import UnreadableImage
from p2ptk.datasets.side_by_side import SideBySide
from p2ptk.datasets.write import write_image
from p2ptk.errors import UserError


def pair(left: int, right: int, height: int = 6, width: int = 8, channels: int = 3) -> torch.Tensor:
    image = torch.full((channels, height, 2 * width), left, dtype=torch.uint8)
    image[..., width:] = right
    return image


def make(folder: Path, **files: torch.Tensor) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in files.items():
        write_image(folder / f"{name}.png", image)
    return folder


def some(folder: Path, count: int) -> Path:
    return make(folder, **{f"p{i:03d}": pair(i, 200 + i) for i in range(count)})


def test_halves_and_names(tmp_path: Path) -> None:
    some(tmp_path / "train" / "deeper", 3)
    some(tmp_path / "validation", 1)
    data = SideBySide(path=tmp_path)
    assert data.splits() == ("train", "val")
    train = data.split("train")
    assert train.names == ("deeper/p000", "deeper/p001", "deeper/p002")
    assert train.sizes() == ((6, 8),) * 3
    found = train[1]
    assert found.name == "deeper/p001"
    assert found.source.shape == found.target.shape == (3, 6, 8)
    assert (found.source.unique().item(), found.target.unique().item()) == (1, 201)
    assert found.source.is_contiguous()
    assert data.a == data.b == Side()
    assert data.skipped == []


def test_val_is_a_seeded_tenth_that_depends_on_names_alone(tmp_path: Path) -> None:
    some(tmp_path, 40)
    data = SideBySide(path=tmp_path)
    train, val = data.split("train").names, data.split("val").names
    assert (len(train), len(val)) == (36, 4)
    assert sorted(train + val) == [f"p{i:03d}" for i in range(40)]
    assert list(train) == sorted(train)
    assert SideBySide(path=tmp_path).split("val").names == val
    assert SideBySide(path=tmp_path, split_seed=1).split("val").names != val
    assert len(SideBySide(path=tmp_path, val_fraction=0.5).split("val")) == 20
    assert SideBySide(path=tmp_path, val_fraction=0.0).splits() == ("train",)
    # A file more moves at most one other file between the splits.
    make(tmp_path, extra=pair(1, 2))
    moved = set(SideBySide(path=tmp_path).split("val").names) ^ set(val)
    assert len(moved - {"extra"}) <= 1


@pytest.mark.parametrize(("count", "splits"), [(1, ("train",)), (2, ("train", "val"))])
def test_two_pairs_are_enough_for_a_val(tmp_path: Path, count: int, splits: tuple) -> None:
    assert SideBySide(path=some(tmp_path, count)).splits() == splits


def test_a_test_split_is_never_made_and_val_stays_as_it_is(tmp_path: Path) -> None:
    some(tmp_path / "train", 20)
    some(tmp_path / "valid", 1)
    data = SideBySide(path=tmp_path)
    assert len(data.split("train")) == 20
    with pytest.raises(UserError, match=r"no split 'test'; it has train, val\."):
        data.split("test")


def test_only_test(tmp_path: Path) -> None:
    some(tmp_path / "test", 4)
    assert SideBySide(path=tmp_path).splits() == ("test",)


def test_problems_are_listed_together_and_can_be_skipped(tmp_path: Path) -> None:
    some(tmp_path / "train", 6)
    make(tmp_path / "train", odd=pair(0, 0)[..., :15], grey=pair(0, 0, channels=1))
    (tmp_path / "train" / "text.jpg").write_text("no picture")
    whole = (tmp_path / "train" / "p003.png").read_bytes()
    (tmp_path / "train" / "cut.png").write_bytes(whole[:50])
    (tmp_path / "train" / ".hidden.png").write_text("not looked at")
    (tmp_path / "train" / "notes.txt").write_text("not looked at")
    with pytest.raises(UserError) as caught:
        SideBySide(path=tmp_path)
    message = str(caught.value)
    assert "4 problems" in message
    assert "odd.png: its width 15 is odd" in message
    assert "grey.png: it has 1 channels, most others have 3" in message
    assert "text.jpg: it is not an image" in message
    assert "cut.png: " in message
    assert "--skip-bad goes on without them" in message
    data = SideBySide(path=tmp_path, skip_bad=True)
    assert len(data.split("train")) + len(data.split("val")) == 6
    assert {Path(p.path).name for p in data.skipped} == {
        "odd.png", "grey.png", "text.jpg", "cut.png",
    }  # fmt: skip


def test_long_lists_are_cut(tmp_path: Path) -> None:
    for i in range(14):
        make(tmp_path, **{f"odd{i:02d}": pair(0, 0)[..., :7]})
    with pytest.raises(UserError, match=r"14 problems(.|\n)*odd09(.|\n)*and 4 more") as caught:
        SideBySide(path=tmp_path)
    assert "odd10" not in str(caught.value)
    with pytest.raises(UserError, match="no pair can be used"):
        SideBySide(path=tmp_path, skip_bad=True)


def test_missing_and_empty_folders(tmp_path: Path) -> None:
    some(tmp_path / "facades", 2)
    with pytest.raises(UserError, match=r"no folder .*facade: did you mean 'facades'\?"):
        SideBySide(path=tmp_path / "facade")
    with pytest.raises(UserError, match="did you mean 'facades'"):
        SideBySide(path=tmp_path / "fcades" / "train")
    (tmp_path / "empty" / "train").mkdir(parents=True)
    with pytest.raises(UserError, match=r"empty holds no images \(files that end with \.bmp"):
        SideBySide(path=tmp_path / "empty")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file, not a folder"):
        SideBySide(path=tmp_path / "file")
    (tmp_path / "both" / "val").mkdir(parents=True)
    (tmp_path / "both" / "valid").mkdir()
    with pytest.raises(UserError, match="both the split 'val'"):
        SideBySide(path=tmp_path / "both")


def test_files_of_one_stem_keep_their_endings_as_names(tmp_path: Path) -> None:
    some(tmp_path / "train", 1)
    Image.new("RGB", (16, 6)).save(tmp_path / "train" / "p000.jpg")
    data = SideBySide(path=tmp_path, val_fraction=0)
    assert data.split("train").names == ("p000.jpg", "p000.png")


def test_deep_float_and_many_bands(tmp_path: Path) -> None:
    image = torch.arange(5 * 4 * 12).reshape(5, 4, 12).to(torch.uint16) * 100
    write_image(tmp_path / "deep.tif", image)
    found = SideBySide(path=tmp_path).split("train")[0]
    assert found.source.dtype == torch.uint16
    assert torch.equal(torch.cat([found.source, found.target], 2), image)
    write_image(tmp_path / "deep.tif", image.float() / 1000)
    with pytest.raises(UserError, match=r"a_range=\[low,high\] \(this file goes from 0 to 23\.9\)"):
        SideBySide(path=tmp_path)
    data = SideBySide(path=tmp_path, a_range=(0, 24), b_range=(0.0, 24.0))
    assert data.a.range == (0, 24)
    assert data.split("train")[0].target.dtype == torch.float32


def test_labels_in_colours_take_the_nearest_of_the_palette(tmp_path: Path) -> None:
    colours = np.array([[255, 0, 0], [0, 0, 255], [250, 250, 0]], np.uint8)
    classes = np.arange(24).reshape(4, 6) % 3
    noisy = colours[classes].astype(int) + np.random.default_rng(0).integers(-9, 9, (4, 6, 3))
    both = np.concatenate([np.zeros((4, 6, 3), int), noisy], 1).clip(0, 255).astype(np.uint8)
    Image.fromarray(both).save(tmp_path / "one.png")
    data = SideBySide(path=tmp_path, b_kind="labels", b_palette=["#ff0000", "0000FF", "#fafa00"])
    found = data.split("train")[0]
    assert found.source.shape == (3, 4, 6)
    assert found.target.dtype == torch.uint8
    assert found.target.tolist() == [classes.tolist()]
    assert data.b.depth == 3


def test_labels_as_numbers(tmp_path: Path) -> None:
    image = Image.fromarray(np.tile(np.arange(4, dtype=np.uint8), (4, 3)), "P")
    image.putpalette([9, 9, 9] * 4)
    image.save(tmp_path / "one.png")
    data = SideBySide(path=tmp_path, a_kind="labels", a_classes=4, b_kind="labels", b_classes=4)
    assert data.split("train")[0].source.unique().tolist() == [0, 1, 2, 3]
    few = SideBySide(path=tmp_path, a_kind="labels", a_classes=3, b_kind="labels", b_classes=4)
    with pytest.raises(UnreadableImage, match=r"one\.png.*class 3, but classes are 0 to 2"):
        few.split("train")[0]
    write_image(tmp_path / "one.png", pair(0, 1))
    with pytest.raises(UserError, match="labels in colours need a_palette"):
        SideBySide(path=tmp_path, a_kind="labels", a_classes=3)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"a_kind": "labels"}, "a_classes=N or a_palette"),
        ({"b_classes": 4}, "b_classes is for labels"),
        ({"b_range": [5.0, 5.0]}, r"b_range should be \[low, high\]"),
        ({"a_kind": "labels", "a_palette": ["red", "#000000"]}, "'red', which is no colour"),
        ({"a_kind": "labels", "a_palette": ["#000000"], "a_classes": 2}, "a_palette has 1"),
        ({"a_kind": "label"}, "image"),
        ({"val_fraction": 1.0}, "val_fraction"),
    ],
)
def test_parameters_that_do_not_go_together(tmp_path: Path, wrong: dict, message: str) -> None:
    some(tmp_path, 2)
    with pytest.raises(UserError, match=message):
        create("dataset", Spec("side-by-side", {"path": str(tmp_path), **wrong}))


def test_a_spec_makes_it(tmp_path: Path) -> None:
    some(tmp_path, 2)
    spec = Spec("side-by-side", {"path": str(tmp_path), "a_kind": "values", "a_range": [0, 100]})
    data = create("dataset", Spec.parse(str(spec)))
    assert data.a == Side("values", (0.0, 100.0))


def test_a_split_travels_to_other_processes(tmp_path: Path) -> None:
    split = SideBySide(path=some(tmp_path, 3)).split("train")
    again = pickle.loads(pickle.dumps(split))
    assert again.names == split.names
    assert torch.equal(again[0].source, split[0].source)


def test_the_demo() -> None:
    data = Demo()
    assert {name: len(data.split(name)) for name in data.splits()} == {
        "train": 44, "val": 5, "test": 10,
    }  # fmt: skip
    assert data.split("val").names == ("r0c14", "r1c10", "r2c11", "r3c12", "r3c15")
    first = data.split("test")[0]
    assert first.source.shape == first.target.shape == (3, 256, 256)
    assert "public domain" in (data.where / "ORIGIN.md").read_text(encoding="utf-8")
