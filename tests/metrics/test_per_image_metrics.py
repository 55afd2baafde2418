"""What psnr, ssim and l1 share: they score image by image."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from p2ptk.metrics.l1 import L1
from p2ptk.metrics.per_image import PerImage
from p2ptk.metrics.psnr import PSNR
from p2ptk.metrics.ssim import SSIM

METRICS: dict[str, Callable[[], PerImage]] = {"l1": L1, "psnr": PSNR, "ssim": SSIM}


@pytest.mark.parametrize("name", METRICS)
@settings(max_examples=10, deadline=None)
@given(cuts=st.sets(st.integers(1, 6)), channels=st.integers(1, 5))
def test_batches_make_no_difference(name: str, cuts: set[int], channels: int) -> None:
    rng = torch.Generator().manual_seed(0)
    fake, target = torch.rand(2, 7, channels, 13, 17, generator=rng) * 2 - 1
    whole, split = METRICS[name](), METRICS[name]()
    whole.update(fake, target, fake)
    edges = [0, *sorted(cuts), 7]
    for start, end in pairwise(edges):
        split.update(fake[start:end], target[start:end], fake[start:end])
    assert split.values[name] == pytest.approx(whole.values[name], rel=1e-12)
    assert split.compute() == pytest.approx(whole.compute(), rel=1e-12)
    assert len(whole.values[name]) == 7
    assert whole.compute()[name] == pytest.approx(sum(whole.values[name]) / 7)


@pytest.mark.parametrize("name", METRICS)
def test_equal_images_are_best_and_noise_makes_it_worse(name: str) -> None:
    rng = torch.Generator().manual_seed(0)
    target = torch.rand(1, 3, 32, 32, generator=rng) * 2 - 1
    noise = torch.randn(1, 3, 32, 32, generator=rng)
    metric = METRICS[name]()
    for amount in (0.0, 0.05, 0.2, 0.8):
        metric.update(target + amount * noise, target, target)
    scores = metric.values[name]
    better = type(metric).higher_is_better  # type: ignore[attr-defined]
    assert scores == sorted(scores, reverse=better)
    assert scores[0] == pytest.approx({"l1": 0, "psnr": 100, "ssim": 1}[name])


@pytest.mark.parametrize("name", METRICS)
def test_what_lies_outside_the_range_is_cut_as_when_saved(name: str) -> None:
    rng = torch.Generator().manual_seed(0)
    fake, target = torch.randn(2, 1, 3, 16, 16, generator=rng)
    loose, cut = METRICS[name](), METRICS[name]()
    loose.update(fake, target, target)
    cut.update(fake.clamp(-1, 1), target.clamp(-1, 1), target)
    assert loose.compute() == cut.compute()


@pytest.mark.parametrize("name", METRICS)
def test_nothing_seen_gives_nothing(name: str) -> None:
    assert METRICS[name]().compute() == {}


def test_l1_by_hand() -> None:
    metric = L1()
    fake = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2)
    metric.update(fake, torch.tensor([-1.0, 1.0]).view(1, 1, 1, 2), fake)
    assert metric.compute() == {"l1": pytest.approx(0.25)}  # 0.5 of 1, then 0


def test_psnr_by_hand() -> None:
    metric = PSNR()
    target = torch.zeros(2, 3, 8, 8)
    fake = target.clone()
    fake[0] += 0.2  # 0.1 on [0, 1]: MSE 0.01
    fake[1] -= 0.02
    metric.update(fake, target, target)
    assert metric.values["psnr"] == pytest.approx([20.0, 40.0], abs=1e-4)
    assert metric.compute() == {"psnr": pytest.approx(30.0, abs=1e-4)}
