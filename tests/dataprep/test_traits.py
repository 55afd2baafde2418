"""Sides are told apart where they differ, and left alone where they don't."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from p2ptk.dataprep.traits import FEWEST, drawn, swapped, traits

Tiles = Sequence[tuple[Any, Any]]


def both(tiles: Tiles) -> tuple[list[Any], list[Any]]:
    return [traits(a) for a, _ in tiles], [traits(b) for _, b in tiles]


def test_real_pairs_are_the_right_way_round(tiles: Tiles) -> None:
    assert swapped(*both(tiles)) == []


@pytest.mark.parametrize("wrong", [[7], [0, 5, 19]])
def test_swapped_pairs_are_found(tiles: Tiles, wrong: list[int]) -> None:
    turned = [pair[::-1] if i in wrong else pair for i, pair in enumerate(tiles)]
    assert swapped(*both(turned)) == wrong


def test_nothing_is_said_of_few_pairs(tiles: Tiles) -> None:
    few = [tiles[0][::-1], *tiles[1 : FEWEST - 1]]
    assert swapped(*both(few)) == []


@pytest.mark.parametrize("seed", range(8))
def test_nothing_is_said_of_sides_that_are_alike(seed: int) -> None:
    numbers = np.random.default_rng(seed).normal(size=(2, 60, 6)).astype(np.float32)
    assert swapped(list(numbers[0]), list(numbers[1])) == []


def test_a_drawing_beside_a_photo_is_told(tiles: Tiles) -> None:
    """A map of five even colours against the picture it was made from."""
    drawings = [(a, (b[::16, ::16] // 64 * 64).repeat(16, 0).repeat(16, 1)) for a, b in tiles]
    a, b = both(drawings)
    assert drawn(a, b) == "b"
    assert drawn(b, a) == "a"


def test_no_drawing_among_photos(tiles: Tiles) -> None:
    assert drawn(*both(tiles)) == ""
    assert drawn([], []) == ""


def test_traits_of_known_pictures() -> None:
    grey = traits(np.full((32, 32, 3), 51, np.uint8))
    assert grey[:5] == pytest.approx([1, 0, 0, 0.2, 0])
    red = np.zeros((32, 32, 3), np.uint8)
    red[:, 16:, 0] = 255
    found = traits(red)
    assert found[1] == pytest.approx(1)  # two colours
    assert found[2] == pytest.approx(0.5)  # half of it fully coloured
