from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from p2ptk.errors import UserError
from p2ptk.metrics import feature_distance
from p2ptk.metrics.distances import frechet_of_features, kernel_distance, precision_recall
from p2ptk.metrics.feature_distance import FeatureDistance, Measure

ALL: tuple[Measure, ...] = ("frechet", "kernel", "precision-recall")
NAMES = {"kd-mean-8x6-n24", "fd-mean-8x6-n24", "precision-mean-8x6-n24", "recall-mean-8x6-n24"}


def features(image: Tensor) -> Tensor:
    """Means and extremes of the channels: 9 features."""
    flat = image.flatten(2)
    return torch.cat([flat.mean(2), flat.amax(2), flat.amin(2)], 1)


def images(count: int = 24) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    fake, target = torch.rand(2, count, 3, 8, 6, generator=rng) * 2 - 1
    return fake * 0.8, target


def made(*cuts: int, measures: tuple[Measure, ...] = ALL, count: int = 24) -> FeatureDistance:
    metric = FeatureDistance(features, "mean", measures)
    fake, target = images(count)
    for start, end in pairwise([0, *cuts, count]):
        metric.update(fake[start:end], target[start:end], target[start:end])
    return metric


def test_its_values_are_those_of_the_features() -> None:
    x, y = (features(z).double().numpy() for z in images())
    found = made().compute()
    assert found.keys() == NAMES
    precision, recall = precision_recall(x, y)
    assert found == pytest.approx(
        {
            "kd-mean-8x6-n24": kernel_distance(x, y),
            "fd-mean-8x6-n24": frechet_of_features(x, y),
            "precision-mean-8x6-n24": precision,
            "recall-mean-8x6-n24": recall,
        },
        rel=1e-6,
    )


@settings(max_examples=15, deadline=None)
@given(st.sets(st.integers(1, 23)))
def test_batches_make_no_difference(cuts: set[int]) -> None:
    split, whole = made(*sorted(cuts)), made()
    assert split.compute() == pytest.approx(whole.compute(), rel=1e-9)
    one, other = split.intervals(), whole.intervals()
    assert one.keys() == other.keys() == NAMES - {"fd-mean-8x6-n24"}
    for name in one:
        assert one[name] == pytest.approx(other[name], rel=1e-9)


def test_few_images_bring_the_kernel_distance_first_and_a_warning() -> None:
    metric = made(measures=("frechet",))
    assert list(metric.compute()) == ["kd-mean-8x6-n24", "fd-mean-8x6-n24"]
    [note] = metric.notes()
    assert note.startswith("FD of 24 images is biased upwards")
    assert made(measures=("kernel",)).notes() == []


def test_many_images_need_no_warning_and_keep_no_features(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = made(measures=("frechet",)).compute()["fd-mean-8x6-n24"]
    monkeypatch.setattr(feature_distance, "FEW", 20)
    metric = made(7, 15, 21, measures=("frechet",))
    assert metric.compute() == {"fd-mean-8x6-n24": pytest.approx(expected, rel=1e-9)}
    assert (metric.notes(), metric.rows["fake"]) == ([], [])


def test_fewer_images_than_features() -> None:
    x, y = (features(z).double().numpy() for z in images(6))
    found = made(2, measures=("frechet",), count=6).compute()["fd-mean-8x6-n6"]
    assert found == pytest.approx(frechet_of_features(x, y), rel=1e-6)


def test_intervals_hold_the_value_and_shrink() -> None:
    few, many = made(count=24), made(count=200)
    widths = []
    for metric in (few, many):
        values = metric.compute()
        for name, interval in metric.intervals().items():
            assert interval is not None
            assert interval[0] <= values[name] <= interval[1]
        low, high = next(iter(metric.intervals().values())) or (0, 0)
        widths.append(high - low)
    assert widths[1] < widths[0]
    assert made(count=9, measures=("kernel",)).intervals() == {}


def test_which_way_is_better() -> None:
    better = made().higher_is_better
    assert {name: better[name] for name in NAMES} == {
        name: name.startswith(("precision", "recall")) for name in NAMES
    }


def test_sizes_and_numbers_are_in_the_name() -> None:
    metric = FeatureDistance(features, "mean", ("kernel",), words=("fid", "kid"))
    assert metric.compute() == {}
    x = images()[1]
    metric.update(x[:2, :, :, :6].repeat(1, 1, 1, 1)[:, :, :6], x[:2, :, :6, :6], x)
    assert list(metric.compute()) == ["kid-mean-6-n2"]
    metric.update(x, x, x)
    assert list(metric.compute()) == ["kid-mean-mixed-n26"]


def test_too_few_images() -> None:
    with pytest.raises(UserError, match="at least 2 images"):
        made(measures=("kernel",), count=1).compute()
    with pytest.raises(UserError, match="at least 4 images"):
        made(measures=("precision-recall",), count=3).compute()
    assert np.isfinite(list(made(measures=("frechet",), count=2).compute().values())).all()
