from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from p2ptk.errors import UserError
from p2ptk.metrics.ssim import SSIM

Map = NDArray[np.float64]


def by_windows(x: Map, y: Map) -> float:
    """Wang et al. 2004, eqs. 13 to 16, of one channel in [0, 1], window by window."""
    place = np.mgrid[-5:6, -5:6]
    weights = np.exp(-(place**2).sum(0) / (2 * 1.5**2))
    weights /= weights.sum()
    scores = []
    for wx, wy in zip(
        sliding_window_view(x, (11, 11)).reshape(-1, 11, 11),
        sliding_window_view(y, (11, 11)).reshape(-1, 11, 11),
        strict=True,
    ):
        mx, my = (weights * wx).sum(), (weights * wy).sum()
        vx, vy = (weights * (wx - mx) ** 2).sum(), (weights * (wy - my) ** 2).sum()
        cov = (weights * (wx - mx) * (wy - my)).sum()
        scores.append(
            ((2 * mx * my + 1e-4) * (2 * cov + 9e-4)) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))
        )
    return float(np.mean(scores))


def test_equals_the_definition_window_by_window() -> None:
    rng = np.random.default_rng(0)
    x = rng.random((2, 3, 19, 24))
    y = np.clip(x + 0.2 * rng.standard_normal(x.shape), 0, 1)
    y[1] = rng.random(y[1].shape)
    metric = SSIM()
    source, fake, target = (torch.from_numpy(a) * 2 - 1 for a in (x, x, y))
    metric.update(fake, target, source)
    for image, score in enumerate(metric.values["ssim"]):
        channels = [by_windows(x[image, c], y[image, c]) for c in range(3)]
        assert score == pytest.approx(np.mean(channels), abs=1e-12)
    assert metric.values["ssim"][0] > metric.values["ssim"][1]


def test_of_constants_only_the_luminance_counts() -> None:
    metric = SSIM()
    a, b = 0.25, 0.75
    fake, target = (torch.full((1, 1, 16, 16), 2 * v - 1) for v in (a, b))
    metric.update(fake, target, fake)
    expected = (2 * a * b + 1e-4) / (a * a + b * b + 1e-4)
    assert metric.compute() == {"ssim": pytest.approx(expected)}


def test_an_inverted_picture_scores_below_zero() -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.rand(1, 1, 32, 32, generator=rng) * 2 - 1
    metric = SSIM()
    metric.update(-x, x, x)
    assert metric.compute()["ssim"] < -0.5


def test_one_window_is_enough_and_less_is_refused() -> None:
    metric = SSIM()
    x = torch.zeros(1, 2, 11, 11)
    metric.update(x, x, x)
    assert metric.compute() == {"ssim": pytest.approx(1.0)}
    with pytest.raises(UserError, match="11x11 pixels, but an image has 10x11"):
        metric.update(x[:, :, 1:], x[:, :, 1:], x)
