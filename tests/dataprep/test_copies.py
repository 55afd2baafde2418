"""Copies are found by pixels and by sight, and told from what merely looks alike."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from p2ptk.dataprep.copies import across, find_copies, within
from p2ptk.dataprep.duplicates import fingerprint, near, near_mirrored
from p2ptk.dataprep.inspection import open_all
from p2ptk.dataprep.survey import survey
from p2ptk.specs import Spec

Tiles = Sequence[tuple[Any, Any]]


def resaved(x: Any, quality: int = 60, scale: float = 1.0) -> Any:
    image = Image.fromarray(x)
    small = image.resize((round(image.width * scale), round(image.height * scale)))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=quality)
    return np.array(Image.open(buffer))


def prints(pairs: Any) -> tuple[list[Any], list[Any]]:
    return [fingerprint(a) for a, _ in pairs], [fingerprint(b) for _, b in pairs]


def test_different_pairs_are_not_alike(tiles: Tiles) -> None:
    assert list(near(*prints(tiles))) == []
    assert list(near_mirrored(*prints(tiles))) == []


@pytest.mark.parametrize("change", [{}, {"scale": 0.75}, {"quality": 30}, {"scale": 0.4}])
def test_pictures_saved_anew_are_alike(tiles: Tiles, change: dict[str, Any]) -> None:
    again = [tuple(resaved(x, **change) for x in pair) for pair in tiles]
    found = {(i, j) for i, j, _ in near(*prints([*tiles, *again]))}
    assert found == {(i, i + len(tiles)) for i in range(len(tiles))}


def test_blocks_of_any_size_give_the_same(tiles: Tiles, monkeypatch: pytest.MonkeyPatch) -> None:
    both = prints([*tiles, *tiles[::2]])
    whole = list(near(*both))
    monkeypatch.setattr("p2ptk.dataprep.duplicates._AT_ONCE", 70)
    assert list(near(*both)) == whole
    assert len(whole) == len(tiles) // 2


def test_brighter_copies_are_alike(tiles: Tiles) -> None:
    brighter = [tuple((x * 0.9 + 20).astype(np.uint8) for x in pair) for pair in tiles]
    assert len(list(near(*prints([*tiles, *brighter])))) == len(tiles)


def test_mirror_images_are_found(tiles: Tiles) -> None:
    mirrored = [tuple(np.ascontiguousarray(x[:, ::-1]) for x in pair) for pair in tiles]
    both = prints([*tiles, *mirrored])
    assert list(near(*both)) == []
    assert {(i, j) for i, j, _ in near_mirrored(*both)} == {
        (i, i + len(tiles)) for i in range(len(tiles))
    }


def test_one_side_alone_is_no_copy(tiles: Tiles) -> None:
    crossed = [(tiles[i][0], tiles[i - 1][1]) for i in range(len(tiles))]
    assert list(near(*prints([*tiles, *crossed]))) == []


def test_blank_targets_make_no_copies_but_do_not_hide_them(tiles: Tiles) -> None:
    water = np.full_like(tiles[0][1], 200)
    pairs = [(a, water) for a, _ in tiles]
    assert list(near(*prints(pairs))) == []
    assert len(list(near(*prints([*pairs, (resaved(pairs[3][0]), water)])))) == 1
    assert len(list(near(*prints([*pairs, (resaved(pairs[3][0]), water // 2)])))) == 0
    assert list(near(*prints([(water, water), (water, water)]))) == []


def test_groups_within_and_across_splits(spoil: Callable[..., Path], tiles: Tiles) -> None:
    def change(i: int, a: Any, b: Any) -> tuple[Any, Any]:
        if i in (4, 1):  # 4 is in test; 0 and 1 in train
            return tiles[0]
        if i == 9:  # in test
            return resaved(tiles[2][0]), resaved(tiles[2][1])
        return a, b

    dataset = open_all(Spec("side-by-side", {"path": str(spoil(change, count=10))}))
    copies = find_copies(survey(dataset).looks)
    assert [[str(look) for look in group] for group in copies.exact] == [
        ["train/00", "train/01", "test/04"]
    ]
    assert [[str(look) for look in group] for group in across(copies.near)] == [
        ["train/02", "test/09"]
    ]
    assert [len(group) for group in within(copies.exact)] == [3]
    assert within(copies.near) == []


def test_one_side_with_several_others(tmp_path: Path, tiles: Tiles) -> None:
    for i in range(4):
        both = np.hstack([tiles[0][0], tiles[i][1]])
        Image.fromarray(both).save(tmp_path / f"{i}.png")
    dataset = open_all(Spec("side-by-side", {"path": str(tmp_path)}))
    copies = find_copies(survey(dataset).looks)
    assert [len(group) for group in copies.same_a] == [4]
    assert copies.same_b == copies.exact == copies.near == ()
