from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from p2ptk.translation.tiles import Axis, feathered, pad, reflected, spread

lengths = st.integers(1, 300)


@settings(deadline=None)
@given(lengths, st.integers(0, 700))
def test_reflection_walks_back_and_forth(length: int, padded: int) -> None:
    index = reflected(length, padded)
    assert len(index) == padded
    assert index[:length].tolist() == list(range(min(length, padded)))
    if padded:
        assert 0 <= index.min() <= index.max() < length
    if length > 1:
        assert (index.diff().abs() <= 1).all()


def test_pad_is_torch_s_reflection_where_that_is_possible() -> None:
    x = torch.randn(2, 3, 5, 7)
    expected = torch.nn.functional.pad(x, (0, 1, 0, 3), mode="reflect")
    assert torch.equal(pad(x, (8, 8)), expected)
    assert pad(x, (5, 7)) is x
    assert pad(torch.ones(1, 1, 1, 2), (256, 128)).shape == (1, 1, 256, 128)


@settings(deadline=None)
@given(lengths, st.integers(1, 128), st.integers(0, 64), st.sampled_from([1, 4, 16, 32]))
def test_tiles_cover_the_picture_and_their_weights_sum_to_1(
    length: int, tile: int, overlap: int, multiple: int
) -> None:
    axis = Axis.cut(length, tile, overlap, multiple)
    assert axis.tile % multiple == 0
    assert axis.tile <= max(tile, multiple)
    total = torch.zeros(axis.starts[-1] + axis.tile)
    for start, weights in zip(axis.starts, axis.weights(), strict=True):
        assert (weights > 0).all()
        total[start : start + axis.tile] += weights
    torch.testing.assert_close(total, torch.ones_like(total))
    assert len(total) >= length
    assert len(axis.indices) == len(total)
    steps = torch.tensor(axis.starts).diff()
    assert (steps <= max(axis.tile - axis.overlap, 1)).all()


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 5), st.integers(8, 40))
def test_feathering_a_pointwise_network_changes_nothing(
    height: int, width: int, batch: int, tile: int
) -> None:
    picture = torch.randn(2, height, width)
    rows, columns = (Axis.cut(n, tile, tile // 4, 4) for n in (height, width))

    def translate(places: list[tuple[int, int]]) -> torch.Tensor:
        assert len(places) <= batch
        padded = picture[:, rows.indices][:, :, columns.indices]
        return torch.stack(
            [padded[:, y : y + rows.tile, x : x + columns.tile] * 2 for y, x in places]
        )

    whole = torch.cat(list(feathered(rows, columns, translate, batch)), 1)
    torch.testing.assert_close(whole, picture * 2)


def test_no_seam_is_left_between_tiles_that_disagree() -> None:
    rows, columns = Axis.cut(32, 32, 0, 1), Axis.cut(200, 64, 32, 1)
    values = iter(range(9))

    def translate(places: list[tuple[int, int]]) -> torch.Tensor:
        return torch.stack([torch.full((1, 32, 64), float(next(values))) for _ in places])

    (strip,) = feathered(rows, columns, translate, 1)
    assert strip.diff(dim=2).abs().max() < 0.06  # a step of 1, over 32 pixels


@pytest.mark.parametrize(
    ("down", "across", "most", "expected"),
    [
        (1, 1, 16, 1),
        (4, 4, 16, 16),
        (20, 20, 16, 16),
        (1, 40, 16, 16),
        (40, 2, 16, 16),
        (3, 3, 4, 4),
    ],
)
def test_the_sample_of_tiles_is_spread_over_both_sides(
    down: int, across: int, most: int, expected: int
) -> None:
    rows, columns = Axis.cut(down * 8, 8, 0, 1), Axis.cut(across * 8, 8, 0, 1)
    places = spread(rows, columns, most)
    assert len(set(places)) == len(places) == expected
    if down > 1:
        assert {y for y, _ in places} >= {0, down * 8 - 8}
    if across > 1:
        assert {x for _, x in places} >= {0, across * 8 - 8}
