from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from p2ptk.components import Spec, create
from p2ptk.datasets.guess import guess
from p2ptk.errors import UserError


def images(folder: Path, count: int = 2, size: tuple[int, int] = (16, 8)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        Image.new("RGB", size).save(folder / f"{i}.png")


def test_side_by_side(tmp_path: Path) -> None:
    images(tmp_path / "train", 4)
    images(tmp_path / "val", 1)
    spec, why = guess(tmp_path)
    assert spec == Spec("side-by-side", {"path": str(tmp_path)})
    assert why == (
        f"{tmp_path}: 4 train and 1 val images 16x8, twice as wide as high: "
        "read as side-by-side pairs."
    )


def test_one_folder_of_many_sizes_with_a_bad_file(tmp_path: Path) -> None:
    images(tmp_path, 2)
    Image.new("RGB", (20, 10)).save(tmp_path / "z.png")
    (tmp_path / "bad.png").write_text("no picture")
    spec, why = guess(tmp_path)
    assert spec.name == "side-by-side"
    assert "4 train images of many sizes" in why


@pytest.mark.parametrize("places", [("A", "B"), ("train/A", "train/B"), ("trainA", "trainB"),
                                    ("A/train", "B/train")])  # fmt: skip
def test_folders_called_a_and_b(tmp_path: Path, places: tuple[str, str]) -> None:
    for place in places:
        images(tmp_path / place, 3)
    spec, why = guess(tmp_path)
    assert spec == Spec("two-folders", {"path": str(tmp_path)})
    assert "3 train pairs" in why
    assert len(create("dataset", spec).split("train")) == 2


@pytest.mark.parametrize("above", ["", "train"])
def test_two_folders_of_the_same_names(tmp_path: Path, above: str) -> None:
    images(tmp_path / above / "maps", 3, (8, 8))
    images(tmp_path / above / "photos", 3, (8, 8))
    spec, why = guess(tmp_path)
    assert spec.params == {"path": str(tmp_path), "a": "maps", "b": "photos"}
    assert "A is maps, B is photos" in why
    assert len(create("dataset", spec).split("train")) == 2


def test_lists(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("source,target\n")
    spec, why = guess(tmp_path / "pairs.csv")
    assert spec == Spec("list", {"path": str(tmp_path / "pairs.csv")})
    assert why.endswith("a CSV file, read as a list of pairs.")


def test_what_is_not_plain_shows_how_to_write_the_spec(tmp_path: Path) -> None:
    images(tmp_path, 2, (20, 8))
    with pytest.raises(UserError) as caught:
        guess(tmp_path)
    assert f"-d 'side-by-side:path={tmp_path}'" in str(caught.value)
    assert f"-d 'two-folders:path={tmp_path},a=PHOTOS,b=MAPS'" in str(caught.value)


def test_what_holds_no_pairs(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no images"):
        guess(tmp_path)
    with pytest.raises(UserError, match="there is no folder"):
        guess(tmp_path / "missing")
    images(tmp_path / "facades" / "train")
    images(tmp_path / "maps" / "train")
    with pytest.raises(UserError, match=r"give one of .*facades, .*maps\."):
        guess(tmp_path)
    with pytest.raises(UserError, match="is one image"):
        guess(tmp_path / "maps" / "train" / "0.png")
    (tmp_path / "x.txt").write_text("")
    with pytest.raises(UserError, match="no list of pairs"):
        guess(tmp_path / "x.txt")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "bad.png").write_text("no picture")
    with pytest.raises(UserError, match="none of its 1 images can be read"):
        guess(tmp_path / "bad")
