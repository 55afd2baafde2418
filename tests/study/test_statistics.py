"""Intervals and tests: known values, library values, and the rate of false alarms."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("scipy", reason="p2ptk[study] is not installed")

from p2ptk.study.statistics import (
    Summary,
    compare,
    holm,
    interaction,
    ranks,
    reach,
    sign_flip,
    smallest_p,
    summarise,
)

# Differences in height of 15 pairs of maize plants, cross- and self-fertilised, in eighths of an
# inch (Darwin 1876). Fisher (1935, section 21) counts 863 of 32,768 sign patterns at least as
# extreme on one side, and as many on the other.
DARWIN = (49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48)


def test_fishers_count() -> None:
    assert sign_flip(DARWIN) == pytest.approx(2 * 863 / 32768, abs=1e-12)


def test_sign_flip_is_scipys() -> None:
    from scipy import stats

    data = np.random.default_rng(3).normal(0.4, 1, 9)
    theirs = stats.permutation_test(
        (data,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip(data) == pytest.approx(float(theirs.pvalue), abs=1e-12)


def test_many_pairs_are_drawn() -> None:
    from scipy import stats

    data = np.random.default_rng(1).normal(0.3, 1, 40)
    assert sign_flip(data) == pytest.approx(stats.ttest_1samp(data, 0).pvalue, abs=0.01)


@pytest.mark.parametrize(("pairs", "p"), [(3, 0.25), (5, 0.0625), (6, 0.03125)])
def test_the_smallest_p(pairs: int, p: float) -> None:
    assert smallest_p(pairs) == p
    assert sign_flip([1.0 + i for i in range(pairs)]) == p


def test_what_cannot_be_reached_is_said() -> None:
    assert reach(3) == ("3 seeds cannot reach p < 0.05: the smallest p is 0.25; 6 seeds could.")
    assert reach(6) == ""
    assert "9 seeds could" in reach(6, contrasts=10)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=8))
def test_sign_flip_keeps_its_symmetries(data: list[float]) -> None:
    p = sign_flip(data)
    assert p is not None
    assert smallest_p(len(data)) <= p <= 1
    assert sign_flip([-x for x in data]) == p
    assert sign_flip(list(reversed(data))) == p


def test_false_alarms_hold_their_level() -> None:
    """Under the null, p <= alpha happens in no more than alpha of the studies, skewed or not."""
    numbers = np.random.default_rng(7)
    signs = np.array(list(itertools.product((1.0, -1.0), repeat=8)))
    for draw in (numbers.standard_normal, lambda shape: numbers.standard_t(2, shape)):
        data = draw((20_000, 8))
        sums = np.abs(data @ signs.T)
        ps = (sums >= np.abs(data.sum(1))[:, None] - 1e-9).mean(1)
        for row in range(3):
            assert sign_flip(data[row]) == pytest.approx(ps[row])
        for alpha in (0.05, 0.1, 0.25):
            rate = (ps <= alpha).mean()
            assert rate <= alpha + 3 * np.sqrt(alpha * (1 - alpha) / len(ps))
            assert rate >= alpha - 1 / 128 - 0.01


def test_the_familys_level_holds_after_holm() -> None:
    numbers = np.random.default_rng(11)
    alarms = 0
    studies = 400
    for _ in range(studies):
        baseline = numbers.normal(size=8)
        ps = [sign_flip(numbers.normal(size=8) - baseline) for _ in range(3)]
        alarms += any(p is not None and p < 0.05 for p in holm(ps))
    assert alarms / studies <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / studies)


def test_holm_is_the_textbooks() -> None:
    # Holm's method on (0.01, 0.04, 0.03, 0.005): 0.03, 0.06, 0.06, 0.02.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, None, 0.9]) == [1.0, None, 1.0]
    assert holm([]) == []


def test_the_interval_is_scipys() -> None:
    from scipy import stats

    data = np.random.default_rng(5).gamma(2.0, size=12)
    theirs = stats.bootstrap(
        (data,), np.mean, n_resamples=9999, method="BCa", rng=np.random.default_rng(0)
    ).confidence_interval
    mine = summarise(data)
    assert (mine.low, mine.high) == (theirs.low, theirs.high)
    assert mine.low is not None
    assert mine.high is not None
    assert mine.low < mine.mean < mine.high
    assert mine.sd == pytest.approx(np.std(data, ddof=1))


def test_the_interval_covers() -> None:
    """BCa over 12 values of a skewed distribution covers its mean roughly as often as it says."""
    numbers = np.random.default_rng(2)
    held = 0
    for _ in range(120):
        s = summarise(numbers.gamma(3.0, size=12))
        assert s.low is not None
        assert s.high is not None
        held += s.low <= 3.0 <= s.high
    assert 0.80 <= held / 120 <= 1.0


def test_few_or_equal_values() -> None:
    assert summarise([]).n == 0
    assert summarise([2.0]) == Summary(2.0, None, 1, None, None, "one value has no interval")
    same = summarise([0.1 + 0.2, 0.3, 0.3])
    assert (same.low, same.high) == (same.mean, same.mean)
    two = summarise([1.0, 2.0])
    assert two.low is not None
    assert two.high is not None
    assert 1.0 <= two.low <= 1.5 <= two.high <= 2.0


def test_pairs_are_by_seed() -> None:
    variant, baseline = {0: 5.0, 1: 7.0, 2: 6.0}, {1: 6.0, 2: 4.0, 3: 100.0}
    found = compare(variant, baseline)
    assert (found.summary.mean, found.summary.n, found.p) == (1.5, 2, 0.5)
    assert compare({0: 1.0}, {1: 1.0}).p is None


def test_ranks_tie_where_intervals_overlap() -> None:
    made = {
        "a": Summary(10, 1, 5, 9, 11, ""),
        "b": Summary(9.5, 1, 5, 8.5, 10.5, ""),
        "c": Summary(5, 1, 5, 4, 6, ""),
        "d": Summary(1, None, 1, None, None, ""),
    }
    assert ranks(made, higher_is_better=True) == {"a": "1-2", "b": "1-2", "c": "3", "d": "4"}
    assert ranks(made, higher_is_better=False) == {"a": "3-4", "b": "3-4", "c": "2", "d": "1"}


def test_interaction_is_zero_where_effects_add_up() -> None:
    neither = {s: float(s) for s in range(4)}
    first = {s: v + 2 for s, v in neither.items()}
    second = {s: v + 3 for s, v in neither.items()}
    both = {s: v + 5 for s, v in neither.items()}
    assert interaction(both, first, second, neither).summary.mean == 0
    assert interaction({s: v + 1 for s, v in both.items()}, first, second, neither).p == 0.125
