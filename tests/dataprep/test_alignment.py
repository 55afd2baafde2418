"""Shifts and mirror images are found where they are, and not where they are not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from p2ptk.dataprep.alignment import common_shift, compare, edges, strangers

Tiles = Sequence[tuple[Any, Any]]


def moved(a: Any, b: Any, right: int, down: int) -> tuple[Any, Any]:
    """Both cut to what they share once B is moved."""
    height, width = a.shape[:2]
    rows, columns = height - abs(down), width - abs(right)
    top, left = max(0, down), max(0, right)
    of_a = a[top : top + rows, left : left + columns]
    of_b = b[top - down : top - down + rows, left - right : left - right + columns]
    return of_a, of_b


def test_real_pairs_are_where_they_are(tiles: Tiles) -> None:
    for a, b in tiles[:12]:
        found = compare(a, b)
        assert found
        assert not found.shifted
        assert not found.mirrored
        assert found.here > 5


@pytest.mark.parametrize("shift", [(8, 0), (0, -8), (-6, 6), (13, 4)])
def test_a_shift_is_found_and_named(tiles: Tiles, shift: tuple[int, int]) -> None:
    found = [compare(*moved(a, b, *shift)) for a, b in tiles[:12]]
    certain = [each for each in found if each and each.shifted]
    assert len(certain) >= 9
    for each in certain:
        assert np.hypot(each.shift[0] - shift[0], each.shift[1] - shift[1]) <= 2


@pytest.mark.parametrize("shift", [(2, 0), (0, -3)])
def test_a_common_shift_is_found_though_small(tiles: Tiles, shift: tuple[int, int]) -> None:
    found = [compare(*moved(a, b, *shift)) for a, b in tiles[:12]]
    windows = [each.window for each in found if each and each.window is not None]
    common = common_shift(windows)
    assert common is not None
    assert max(abs(common[0] - shift[0]), abs(common[1] - shift[1])) <= 1


def test_no_common_shift_where_there_is_none(tiles: Tiles) -> None:
    found = [compare(a, b) for a, b in tiles[:12]]
    assert common_shift([f.window for f in found if f and f.window is not None]) is None
    assert common_shift([]) is None


@pytest.mark.parametrize(
    ("way", "turned"),
    [
        ("left to right", lambda x: x[:, ::-1]),
        ("upside down", lambda x: x[::-1]),
        ("turned by 180 degrees", lambda x: x[::-1, ::-1]),
    ],
)
def test_mirror_images_are_named(tiles: Tiles, way: str, turned: Any) -> None:
    found = [compare(a, turned(b)) for a, b in tiles[:12]]
    assert [f.mirrored for f in found if f].count(way) >= 10
    assert {f.mirrored for f in found if f} <= {way, ""}


def test_a_mirror_image_is_found_at_sizes_that_are_cut(tiles: Tiles) -> None:
    found = [compare(a[:253, :251], b[:253, :251][:, ::-1]) for a, b in tiles[:12]]
    assert [f.mirrored for f in found if f].count("left to right") >= 10


def test_large_pictures_are_reduced_and_shifts_counted_in_their_pixels(tiles: Tiles) -> None:
    a, b = (x.repeat(3, 0).repeat(3, 1) for x in moved(*tiles[1], 8, 0))
    found = compare(a, b)
    assert found
    assert found.scale == 2
    assert found.shifted
    assert abs(found.shift[0] - 24) <= 4


def test_strangers_do_not_agree(tiles: Tiles) -> None:
    values = [strangers(tiles[i][0], tiles[i - 3][1]) for i in range(12)]
    own = [compare(a, b) for a, b in tiles[:12]]
    known = [v for v in values if v is not None]
    assert np.median(known) < 3 < np.median([each.here for each in own if each])


def test_nothing_is_said_of_blank_and_small_pictures(tiles: Tiles) -> None:
    blank = np.full((256, 256, 3), 90, np.uint8)
    assert edges(blank) is None
    assert compare(tiles[0][0], blank) is None
    assert edges(tiles[0][0][:31]) is None
    assert strangers(tiles[0][0], tiles[0][1][:20, :20]) is None
