"""Metrics on features."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from p2ptk import create


def metric(name: str, **params: Any) -> Any:
    return create("metric", {"name": name, "model": "test_resnet", "pretrained": False, **params})


def test_a_paired_distance_is_zero_for_equals_and_grows(pictures: Tensor) -> None:
    values = []
    for fake in (pictures, pictures + 0.05 * torch.randn_like(pictures), pictures.flip(-1)):
        made = metric("feature-distance")
        made.update(fake, pictures, pictures)
        (value,) = made.compute().values()
        values.append(value)
    assert values[0] < 1e-6 < values[1] < values[2] < 4
    assert metric("feature-distance").compute() == {}


def test_each_images_score_is_kept(pictures: Tensor) -> None:
    made = metric("feature-distance")
    made.update(pictures.flip(-1), pictures, pictures)
    made.update(pictures[:1], pictures[:1], pictures[:1])
    (scores,) = made.values.values()
    assert len(scores) == 3
    assert scores[2] < 1e-6 < min(scores[:2])


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({}, "test_resnet-untrained"),
        ({"levels": [1, 2]}, "test_resnet-levels-1-2-untrained"),
    ],
)
def test_a_name_carries_what_decides_the_value(
    pictures: Tensor, params: dict[str, Any], name: str
) -> None:
    made = metric("feature-distance", **params)
    made.update(pictures, pictures, pictures)
    assert list(made.compute()) == [f"feature-distance-{name}"]


def test_frechet_distance(lite: str, pictures: Tensor) -> None:
    made = metric("fd", model="tf_efficientnet_lite0", weights=lite)
    same = metric("fd", model="tf_efficientnet_lite0", weights=lite)
    for turn in range(3):
        target = pictures.roll(16 * turn, -1)
        made.update(target.flip(-2) * 0.5, target, target)
        same.update(target, target, target)
    name = "fd-tf_efficientnet_lite0-package-64x96-n6"
    assert abs(same.compute()[name]) < 1e-3 < made.compute()[name]


def test_features_that_sets_are_compared_by() -> None:
    made = metric("fd", level=3)
    assert made.name == "test_resnet-levels-3-untrained"
    rows = made.features(torch.rand(2, 1, 64, 64))
    assert rows.shape == (2, 192)
