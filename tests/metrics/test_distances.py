from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from p2ptk.errors import UserError
from p2ptk.metrics.distances import (
    Array,
    FeatureSums,
    frechet_distance,
    frechet_of_features,
    inside,
    kernel_distance,
    kernel_distances_left_out,
    precision_recall,
)

SIZES = [(60, 12), (25, 40), (40, 40)]  # images and features: more, fewer, as many


def sets(images: int, features: int, seed: int = 0) -> tuple[Array, Array]:
    """Two sets of correlated features that differ in mean and covariance."""
    rng = np.random.default_rng(seed)
    mix = rng.standard_normal((features, features)) / np.sqrt(features)
    x = rng.standard_normal((images, features))
    return x, rng.standard_normal((images, features)) @ mix + 0.3


@pytest.mark.parametrize(("images", "features"), SIZES)
def test_frechet_is_what_the_matrix_root_gives(images: int, features: int) -> None:
    linalg = pytest.importorskip("scipy.linalg")
    x, y = sets(images, features)
    c, d = np.cov(x.T), np.cov(y.T)
    root = linalg.sqrtm(c @ d).real
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(c + d - 2 * root)
    assert frechet_of_features(x, y) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(x.mean(0), c, y.mean(0), d) == pytest.approx(expected, rel=1e-6)


def test_frechet_of_known_gaussians() -> None:
    """Diagonal covariances: the squared distance of means and of standard deviations."""
    mean, deviation = np.array([0.0, 1.0, 5.0]), np.array([1.0, 2.0, 0.0])
    other_mean, other_deviation = np.array([2.0, 1.0, 5.0]), np.array([3.0, 2.0, 0.5])
    found = frechet_distance(mean, np.diag(deviation**2), other_mean, np.diag(other_deviation**2))
    assert found == pytest.approx(4 + 4 + 0.25)


@pytest.mark.parametrize(("images", "features"), SIZES)
def test_all_of_them_agree_with_torch_fidelity(images: int, features: int) -> None:
    fid: Any = pytest.importorskip("torch_fidelity.metric_fid")
    kid: Any = pytest.importorskip("torch_fidelity.metric_kid")
    prc: Any = pytest.importorskip("torch_fidelity.metric_prc")
    x, y = sets(images, features)
    one, other = torch.from_numpy(x), torch.from_numpy(y)
    statistics = [fid.fid_features_to_statistics(z) for z in (one, other)]
    expected = fid.fid_statistics_to_metric(*statistics, False)
    assert frechet_of_features(x, y) == pytest.approx(
        expected["frechet_inception_distance"], rel=1e-5
    )
    options = {"kid_subsets": 1, "kid_subset_size": images, "verbose": False}
    expected = kid.kid_features_to_metric(one, other, **options)
    assert kernel_distance(x, y) == pytest.approx(
        expected["kernel_inception_distance_mean"], rel=1e-9
    )
    expected = prc.prc_features_to_metric(one, other, verbose=False)
    assert precision_recall(x, y) == pytest.approx(
        (expected["precision"], expected["recall"]), abs=1e-6
    )


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.integers(5, 30), st.integers(2, 25))
def test_properties(seed: int, images: int, features: int) -> None:
    x, y = sets(images, features, seed)
    order = np.random.default_rng(seed).permutation(images)
    for distance in (frechet_of_features, kernel_distance):
        assert distance(x, y) == pytest.approx(distance(y, x), rel=1e-6, abs=1e-9)
        assert distance(x[order], y) == pytest.approx(distance(x, y), rel=1e-6, abs=1e-9)
    assert frechet_of_features(x, x) == pytest.approx(0, abs=1e-6 * features)
    assert frechet_of_features(x, y) > -1e-9
    assert precision_recall(x, x) == (1.0, 1.0)
    assert precision_recall(x, x + 1e6) == (0.0, 0.0)


def test_the_kernel_distance_is_unbiased() -> None:
    """Of sets from one distribution its mean is 0, whatever their size; Frechet's is not."""
    rng = np.random.default_rng(0)
    draws = [rng.standard_normal((2, 20, 5)) for _ in range(300)]
    kernel = [kernel_distance(x, y) for x, y in draws]
    assert abs(np.mean(kernel)) < 3 * np.std(kernel) / np.sqrt(300)
    assert np.mean([frechet_of_features(x, y) for x, y in draws]) > 0.5


def test_leaving_a_pair_out_is_as_if_it_had_not_been_there() -> None:
    x, y = sets(12, 6)
    left_out = kernel_distances_left_out(x, y)
    for i in range(12):
        alone = kernel_distance(np.delete(x, i, 0), np.delete(y, i, 0))
        assert left_out[i] == pytest.approx(alone, rel=1e-9)


def test_rows_are_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = sets(23, 6)
    whole = kernel_distance(x, y), precision_recall(x, y), kernel_distances_left_out(x, y)
    monkeypatch.setattr("p2ptk.metrics.distances.ROWS", 5)
    assert kernel_distance(x, y) == pytest.approx(whole[0], rel=1e-12)
    assert precision_recall(x, y) == whole[1]
    assert kernel_distances_left_out(x, y) == pytest.approx(whole[2])


def test_inside_by_hand() -> None:
    members = np.array([[0.0], [1.0], [10.0]])  # balls of 1, 1 and 9 by the nearest neighbour
    points = np.array([[-1.0], [-1.5], [1.5], [18.9], [19.5]])
    assert inside(points, members, 1).tolist() == [True, False, True, True, False]


@settings(max_examples=20, deadline=None)
@given(st.sets(st.integers(1, 19)))
def test_sums_do_not_depend_on_batches(cuts: set[int]) -> None:
    x = sets(20, 7)[0] + 1000  # far from 0, where plain sums would lose digits
    sums = FeatureSums()
    for part in np.split(x, sorted(cuts)):
        sums.add(part)
    assert sums.count == 20
    assert sums.mean() == pytest.approx(x.mean(0), rel=1e-12)
    assert sums.covariance() == pytest.approx(np.cov(x.T), abs=1e-11)


def test_too_few_images_are_refused() -> None:
    x, y = sets(3, 4)
    with pytest.raises(UserError, match="at least 4 images, and there are 3"):
        precision_recall(x, y)
    for distance in (frechet_of_features, kernel_distance):
        with pytest.raises(UserError, match="at least 2 images"):
            distance(x[:1], y)
