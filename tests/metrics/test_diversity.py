from __future__ import annotations

import pytest
import torch

from p2ptk import create
from p2ptk.errors import UserError
from p2ptk.metrics.diversity import Diversity


def test_the_mean_distance_of_all_pairs() -> None:
    metric = Diversity(samples=3)
    fakes = torch.tensor([-1.0, 0.0, 1.0]).view(3, 1, 1, 1, 1).expand(3, 2, 3, 8, 8).clone()
    fakes[:, 1] = 0.25  # the second source's translations are alike
    metric.update_samples(fakes, fakes[0], fakes[0])
    assert metric.values == {"diversity-l1-s3": pytest.approx([(0.5 + 0.5 + 1) / 3, 0.0])}
    assert metric.compute() == {"diversity-l1-s3": pytest.approx(1 / 3)}


def test_at_least_two_samples() -> None:
    with pytest.raises(UserError, match="greater than or equal to 2"):
        create("metric", "diversity:samples=1")
