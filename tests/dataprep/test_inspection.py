"""Sound pairs raise no alarm; each fault raises its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from p2ptk.components import create
from p2ptk.dataprep.inspection import Inspection, inspect, write_sheets
from p2ptk.datasets.write import write_image
from p2ptk.errors import UserError
from p2ptk.specs import Spec

Tiles = Sequence[tuple[Any, Any]]


def look(folder: Path, **more: Any) -> Inspection:
    spec = Spec("side-by-side", {"path": str(folder), **more})
    return inspect(spec, str(folder))


def kinds(found: Inspection, *levels: str) -> list[str]:
    """What was found, without the notes unless they are asked for."""
    wanted = levels or ("fault", "suspicion")
    return [f.kind for f in found.findings if f.level in wanted]


def text(found: Inspection, kind: str) -> str:
    return next(f.text for f in found.findings if f.kind == kind)


def two_sided(folder: Path, a: Sequence[Any], b: Sequence[Any], end: str = "png") -> Spec:
    for which, images in (("A", a), ("B", b)):
        (folder / which).mkdir(parents=True)
        for i, image in enumerate(images):
            write_image(folder / which / f"{i:02d}.{end}", image)
    return Spec("two-folders", {"path": str(folder)})


def test_the_embedded_set_raises_no_alarm() -> None:
    found = inspect(Spec("demo"), "demo")
    assert found.survey.counts == {"train": 44, "val": 5, "test": 10}
    assert found.findings == found.problems == ()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["facades", "maps_full"])
def test_real_sets_raise_no_alarm(shared: Path, name: str) -> None:
    found = look(shared / "data" / name)
    assert kinds(found) == []
    assert found.problems == ()


def test_pairs_of_which_some_are_shifted(spoil: Callable[..., Path]) -> None:
    def change(i: int, a: Any, b: Any) -> tuple[Any, Any]:
        return (a, np.roll(b, 8, 1)) if i in (3, 7) else (a, b)

    found = look(spoil(change))
    assert kinds(found) == ["shifted"]
    assert found.findings[0].pairs == ("train/03", "train/07")
    assert "2 of 12 pairs: train/03 by 8 px right; train/07 by 8 px right" in text(found, "shifted")


def test_pairs_that_are_all_shifted(spoil: Callable[..., Path]) -> None:
    found = look(spoil(lambda i, a, b: (a[:, 8:], b[:, :-8])))
    assert kinds(found) == ["common shift"]
    assert "in all pairs together B lies about 8 px right" in text(found, "common shift")


def test_mirrored_and_swapped_pairs(spoil: Callable[..., Path]) -> None:
    def change(i: int, a: Any, b: Any) -> tuple[Any, Any]:
        return (a, b[:, ::-1]) if i == 2 else (b, a) if i == 8 else (a, b)

    found = look(spoil(change))
    assert set(kinds(found)) == {"mirrored", "swapped"}
    assert text(found, "mirrored") == "B is mirrored (left to right) in 1 of 12 pairs: train/02"
    assert text(found, "swapped") == "A and B look swapped in 1 of 12 pairs: train/08"


def test_pairs_of_strangers(spoil: Callable[..., Path], tiles: Tiles) -> None:
    found = look(spoil(lambda i, a, b: (a, tiles[i - 1][1])))
    assert "unrelated" in kinds(found)
    assert "paired by the wrong names?" in text(found, "unrelated")


def test_copies_across_splits(spoil: Callable[..., Path]) -> None:
    folder = spoil()
    picture = Image.open(folder / "train" / "00.jpg")
    (folder / "test" / "same.jpg").write_bytes((folder / "train" / "05.jpg").read_bytes())
    picture.save(folder / "test" / "resaved.jpg", quality=60)
    found = look(folder)
    assert kinds(found) == ["leak", "near leak"]
    assert kinds(found, "fault") == ["leak"]
    assert "train/05 = test/same" in text(found, "leak")
    assert "train/00 = test/resaved" in text(found, "near leak")


def test_files_that_give_no_pair(spoil: Callable[..., Path]) -> None:
    folder = spoil()
    train = folder / "train"
    (train / "cut.jpg").write_bytes((train / "00.jpg").read_bytes()[:4000])
    Image.new("RGB", (511, 256)).save(train / "odd.png")
    Image.new("RGBA", (512, 256)).save(train / "alpha.png")
    (train / "text.png").write_text("no picture")
    found = look(folder)
    problems = {Path(p.path).name: p.why for p in found.problems}
    assert problems == {
        "cut.jpg": "the file is truncated",
        "odd.png": "its width 511 is odd, so it has no two halves",
        "alpha.png": "it has 4 channels, most others have 3",
        "text.png": "it is not an image of a known kind",
    }
    assert len(found.survey.looks) == 12


def test_damage_that_only_decoding_shows(spoil: Callable[..., Path]) -> None:
    folder = spoil()
    path = folder / "train" / "00.png"
    Image.open(folder / "train" / "00.jpg").save(path)
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 255
    path.write_bytes(whole)
    found = look(folder)
    assert [Path(p.path).name for p in found.problems] == ["00.png"]
    assert "damaged" in found.problems[0].why


def test_odd_sizes_and_blank_sides(spoil: Callable[..., Path]) -> None:
    folder = spoil()
    Image.new("RGB", (300, 150), (5, 5, 5)).save(folder / "train" / "small.png")
    found = look(folder)
    assert kinds(found) == []
    assert text(found, "odd size") == "1 pair is not of the usual 256x256: train/small 150x150"
    assert "1 pair has a side of one value only: train/small" in text(found, "blank")


def test_deep_data_that_would_be_black(tmp_path: Path, tiles: Tiles) -> None:
    photos = [torch.from_numpy(a.transpose(2, 0, 1).copy()) for a, _ in tiles[:4]]
    deep = [(x[:1].to(torch.int32) * 16).to(torch.uint16) for x in photos]
    spec = two_sided(tmp_path, photos, deep)
    found = inspect(spec, "x")
    assert kinds(found) == ["dark"]
    assert "say b_range=[0,4095]" in text(found, "dark")
    assert inspect(spec.having(b_range=[0, 4095]), "x").findings[0].kind == "few"
    assert "cut" in kinds(inspect(spec.having(b_range=[0, 1000]), "x"), "note")


def test_class_numbers_taken_for_a_picture(tmp_path: Path, tiles: Tiles) -> None:
    photos = [torch.from_numpy(a.transpose(2, 0, 1).copy()) for a, _ in tiles[:4]]
    classes = [x[:1] // 25 for x in photos]
    spec = two_sided(tmp_path, photos, classes)
    high = max(int(x.max()) for x in classes)
    found = inspect(spec, "x")
    assert f"say b_kind=labels,b_classes={high + 1}" in text(found, "classes")
    declared = inspect(spec.having(b_kind="labels", b_classes=high + 1), "x")
    assert kinds(declared) == []
    assert declared.plain()["sides"]["b"]["classes"] == high + 1


@pytest.mark.parametrize(("alpha", "words"), [(255, "save without it"), (None, "one more colour")])
def test_alpha(tmp_path: Path, tiles: Tiles, alpha: int | None, words: str) -> None:
    photos = [torch.from_numpy(a.transpose(2, 0, 1).copy()) for a, _ in tiles[:3]]
    last = [x[:1] if alpha is None else torch.full_like(x[:1], alpha) for x in photos]
    with_alpha = [torch.cat([x, y]) for x, y in zip(photos, last, strict=True)]
    found = inspect(two_sided(tmp_path, with_alpha, photos), "x")
    assert "A has 4 channels" in text(found, "alpha")
    assert words in text(found, "alpha")


def test_many_bands_and_floats(tmp_path: Path) -> None:
    numbers = torch.Generator().manual_seed(0)
    bands = [torch.rand(6, 48, 48, generator=numbers) * 50 for _ in range(3)]
    spec = two_sided(tmp_path, bands, [x[:1] for x in bands], "tif").having(
        a_range=[0, 50], b_range=[0, 50]
    )
    found = inspect(spec, "x")
    assert found.plain()["sides"]["a"]["channels"] == [6]
    assert found.plain()["sides"]["a"]["dtypes"] == ["float32"]
    assert kinds(found) == []


def test_a_set_without_train(tmp_path: Path, tiles: Tiles) -> None:
    (tmp_path / "test").mkdir()
    Image.fromarray(np.hstack(tiles[0])).save(tmp_path / "test" / "a.png")
    assert text(look(tmp_path), "no train") == "there is no split train, only test"


def test_single_pictures(tmp_path: Path, tiles: Tiles) -> None:
    for i, (a, _) in enumerate(tiles[:3]):
        Image.fromarray(a).save(tmp_path / f"{i}.png")
    found = inspect(Spec("photos", {"path": str(tmp_path)}), "x")
    assert kinds(found) == []
    assert list(found.plain()["sides"]) == ["a"]
    assert " -A +colorize " in found.suggestion.commands[0][1]


def test_only_some_pairs_of_each_split(spoil: Callable[..., Path]) -> None:
    folder = spoil()
    found = inspect(Spec("side-by-side", {"path": str(folder)}), "x", most=3)
    assert [str(x) for x in found.survey.looks] == [
        "train/00", "train/03", "train/07", "test/04", "test/09",
    ]  # fmt: skip


def test_nothing_that_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("")
    with pytest.raises(UserError, match="no pair can be used"):
        look(tmp_path)


def test_everything_is_plain_values(spoil: Callable[..., Path]) -> None:
    found = look(spoil(count=5))
    plain = json.loads(json.dumps(found.plain()))
    assert plain["splits"] == {"train": 4, "test": 1}
    assert plain["sides"]["a"]["sizes"] == [{"height": 256, "width": 256, "pairs": 5}]
    assert plain["suggestion"]["size"] == [256, 256]


def test_the_sheets(spoil: Callable[..., Path], tmp_path: Path) -> None:
    folder = spoil(lambda i, a, b: (a, np.roll(b, 8, 1)) if i == 3 else (a, b), count=8)
    found = look(folder)
    contact, suspects = write_sheets(found, tmp_path / "look")
    sheet = Image.open(contact)
    assert sheet.size == (4 * (289 + 6) + 6, 2 * (144 + 18 + 6) + 6)
    first = np.asarray(sheet)[24 : 24 + 144, 6 : 6 + 144].astype(float)
    pair = create("dataset", found.spec).split("train")[0]
    wanted = np.asarray(
        Image.fromarray(pair.source.numpy().transpose(1, 2, 0)).resize((144, 144), 4), float
    )
    assert np.abs(first - wanted).mean() < 3
    assert Image.open(suspects).size == (289 + 12, 144 + 18 + 12)

    assert [p.name for p in write_sheets(look(spoil_again(folder)), tmp_path / "look")] == [
        "contact.png"
    ]
    assert not suspects.exists()


def spoil_again(folder: Path) -> Path:
    """The same set without its spoilt pair."""
    (folder / "train" / "03.jpg").unlink()
    return folder
