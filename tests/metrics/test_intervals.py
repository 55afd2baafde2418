from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2ptk.metrics.intervals import bca_interval, jackknife_interval, mean_interval

EXPONENTIAL = np.random.default_rng(7).exponential(size=80)


def test_agrees_with_scipy_on_skewed_scores() -> None:
    stats = pytest.importorskip("scipy.stats")
    low, high = mean_interval(EXPONENTIAL) or (0, 0)
    reference = stats.bootstrap(
        (EXPONENTIAL,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(1)
    ).confidence_interval
    width = reference.high - reference.low
    assert low == pytest.approx(reference.low, abs=0.05 * width)
    assert high == pytest.approx(reference.high, abs=0.05 * width)
    # The percentile interval is another one here, so the correction is at work.
    plain = stats.bootstrap(
        (EXPONENTIAL,), np.mean, n_resamples=20_000, method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    assert high > plain.high


def test_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(150):
        low, high = mean_interval(rng.normal(3, 1, 40)) or (0, 0)
        inside += low <= 3 <= high
    assert 0.88 <= inside / 150 <= 0.99


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=2, max_size=12))
def test_lies_within_the_scores_and_repeats(values: list[float]) -> None:
    interval = mean_interval(values)
    assert interval == mean_interval(values)
    assert interval is not None
    low, high = interval
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9


def test_one_image_tells_nothing_and_equal_ones_have_no_width() -> None:
    assert mean_interval([0.3]) is None
    assert mean_interval([]) is None
    assert mean_interval([0.3] * 5) == pytest.approx((0.3, 0.3))


def test_another_seed_draws_other_images() -> None:
    assert mean_interval(EXPONENTIAL, seed=1) != mean_interval(EXPONENTIAL)


def test_a_ratio_is_drawn_anew_as_a_whole() -> None:
    """Its interval is not that of the mean of the images' own ratios."""
    right, of = np.array([1.0, 90.0, 3.0, 5.0] * 10), np.array([10.0, 100.0, 4.0, 50.0] * 10)

    def ratio(counts: np.ndarray) -> np.ndarray:
        return (counts @ right) / (counts @ of)

    low, high = bca_interval(ratio, 40) or (0, 0)
    assert low < right.sum() / of.sum() < high
    assert mean_interval(right / of) != pytest.approx((low, high), rel=0.01)


def test_many_images_are_left_out_in_groups() -> None:
    values = np.random.default_rng(0).normal(size=4500)
    low, high = mean_interval(values) or (0, 0)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(4500), rel=0.06)


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    values = np.random.default_rng(0).normal(size=50)
    without = [np.delete(values, i).mean() for i in range(50)]
    low, high = jackknife_interval(float(values.mean()), without) or (0, 0)
    assert (high - low) / 2 == pytest.approx(1.95996 * values.std(ddof=1) / np.sqrt(50), rel=1e-5)
    assert jackknife_interval(1.0, [1.0] * 9) is None
    assert jackknife_interval(1.0, [float("nan")] * 20) is None
