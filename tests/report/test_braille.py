"""Dots lie where values are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2ptk.report.braille import last_of, number, plot, sparkline


def rows(cells: list[list[tuple[str, int]]]) -> list[str]:
    return ["".join(character for character, _ in row) for row in cells]


def test_a_rising_line() -> None:
    cells, low, high = plot(np.arange(8.0), [np.arange(8.0)], 4, 2)
    assert rows(cells) == ["⠀⠀⡠⠊", "⡠⠊⠀⠀"]
    assert (low, high) == (0, 7)


def test_a_level_line_lies_in_the_middle() -> None:
    cells, low, high = plot(np.arange(4.0), [np.full(4, 5.0)], 2, 1)
    assert rows(cells) == ["⠒⠒"]
    assert low == high == 5


def test_a_peak_among_many_values_stays() -> None:
    values = np.zeros(1000)
    values[500] = 1
    cells, _, _ = plot(np.arange(1000.0), [values], 10, 2)
    assert any(ord(character) & 0x09 for character in rows(cells)[0])


def test_the_later_line_is_in_front() -> None:
    steps = np.arange(4.0)
    cells, _, _ = plot(steps, [np.arange(4.0), np.arange(4.0)[::-1]], 2, 1)
    assert {front for _, front in cells[0]} == {1}


@pytest.mark.parametrize("gap", [np.nan, np.inf])
def test_what_is_not_finite_is_left_out(gap: float) -> None:
    cells, low, high = plot(np.arange(4.0), [np.array([0.0, gap, gap, 3.0])], 2, 1)
    assert rows(cells) == ["⡠⠊"]
    assert (low, high) == (0, 3)
    assert rows(plot(np.arange(2.0), [np.full(2, gap)], 2, 1)[0]) == ["⠀⠀"]
    assert rows(plot(np.empty(0), [], 2, 1)[0]) == ["⠀⠀"]


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=40),
    width=st.integers(1, 20),
    height=st.integers(1, 6),
)
def test_any_line_is_drawn_without_gaps(values: list[float], width: int, height: int) -> None:
    line = np.array(values)
    cells, _, _ = plot(np.arange(float(len(line))), [line], width, height)
    assert [len(row) for row in cells] == [width] * height
    columns = np.array([[ord(c) - 0x2800 for c, _ in row] for row in cells]).any(0)
    used = np.flatnonzero(columns)
    assert len(used) == 0 if np.isnan(line).all() else used[-1] - used[0] + 1 == len(used)


def test_sparklines_and_numbers() -> None:
    assert sparkline([0, 1, 2, 3, float("nan"), 8], 4) == "▁▂▃█"
    assert sparkline([1, 8], 8) == "▁█"
    assert sparkline([2, 2], 8) == "▄▄"
    assert sparkline([float("nan")], 8) == ""
    assert [number(x) for x in (0, 12.345, 0.00012, 2.5e7, float("inf"))] == [
        "0", "12.3", "1.2e-04", "2.5e+07", "?",
    ]  # fmt: skip
    assert last_of(np.array([1.0, 2.0, np.nan])) == 2
    assert last_of(np.array([np.nan])) is None
