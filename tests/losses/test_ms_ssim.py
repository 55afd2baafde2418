from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from p2ptk.errors import UserError
from p2ptk.losses.ms_ssim import MSSSIMLoss
from p2ptk.metrics.ssim import SSIM

Map = NDArray[np.float64]
WEIGHTS = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333]


def loss(fake: Tensor, target: Tensor, **params: int) -> Tensor:
    t: Any = SimpleNamespace(fake=fake, target=target)
    return MSSSIMLoss(**params).generator(t)


def pictures(side: int, noise: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two smooth pictures N 2 H W in [-1, 1], the second with noise."""
    rng = torch.Generator().manual_seed(seed)
    small = torch.rand(2, 2, side // 8 + 1, side // 8 + 1, generator=rng)
    x = torch.nn.functional.interpolate(small, size=(side, side), mode="bilinear") * 2 - 1
    return x, (x + noise * torch.randn(x.shape, generator=rng)).clamp(-1, 1)


def by_definition(x: Map, y: Map, scales: int) -> float:
    """Wang et al. 2003, eq. 7, of one channel in [0, 1], in numpy's own words."""
    window = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window /= window.sum()

    def blur(z: Map) -> Map:
        rows = np.apply_along_axis(np.convolve, 1, z, window, "valid")
        return np.apply_along_axis(np.convolve, 0, rows, window, "valid")

    exponents = np.array(WEIGHTS[:scales]) / sum(WEIGHTS[:scales])
    product = 1.0
    for scale, exponent in enumerate(exponents, start=1):
        mx, my = blur(x), blur(y)
        vx, vy, cov = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
        value = (2 * cov + 9e-4) / (vx + vy + 9e-4)
        if scale == scales:
            value = value * (2 * mx * my + 1e-4) / (mx**2 + my**2 + 1e-4)
        product *= value.mean() ** exponent
        half = [z[: z.shape[0] // 2 * 2, : z.shape[1] // 2 * 2] for z in (x, y)]
        x, y = (z.reshape(z.shape[0] // 2, 2, z.shape[1] // 2, 2).mean((1, 3)) for z in half)
    return float(product)


@pytest.mark.parametrize(("scales", "side"), [(5, 176), (5, 183), (3, 45), (1, 11)])
def test_equals_the_definition(scales: int, side: int) -> None:
    x, y = pictures(side, 0.2)
    expected = np.mean(
        [by_definition(a.double().numpy() / 2 + 0.5, b.double().numpy() / 2 + 0.5, scales)
         for a, b in zip(x.flatten(0, 1), y.flatten(0, 1), strict=True)]
    )  # fmt: skip
    assert loss(x, y, scales=scales).item() == pytest.approx(1 - expected, abs=2e-5)


def test_one_scale_is_the_metric() -> None:
    x, y = pictures(32, 0.3)
    metric = SSIM()
    metric.update(x, y, x)
    assert loss(x, y, scales=1).item() == pytest.approx(1 - metric.compute()["ssim"], abs=1e-5)


def test_zero_for_equal_pictures_and_more_with_more_noise() -> None:
    values = [loss(*pictures(48, noise), scales=3).item() for noise in (0.0, 0.05, 0.2, 0.8)]
    assert values[0] == pytest.approx(0, abs=1e-5)
    assert values == sorted(values)
    assert values[-1] < 1


def test_a_step_against_it_makes_pictures_more_alike() -> None:
    target, fake = pictures(48, 0.5)
    fake.requires_grad_()
    before = loss(fake, target, scales=3)
    (slope,) = torch.autograd.grad(before, fake)
    assert loss(fake - 10 * slope, target, scales=3) < before


@pytest.mark.parametrize("fake", [-1.0, 0.0])
def test_contradiction_costs_nearly_one_and_has_a_finite_gradient(fake: float) -> None:
    x, _ = pictures(48, 0.0)
    y = (fake * x).requires_grad_()
    value = loss(y, x, scales=3)
    assert 0.5 < value.item() < 1
    (slope,) = torch.autograd.grad(value, y)
    assert slope.isfinite().all()


@pytest.mark.parametrize(
    ("side", "scales", "advice"),
    [(175, 5, "ms-ssim:scales=4 would do"), (43, 3, "scales=2 would do"), (10, 1, "larger images")],
)
def test_too_small_pictures_are_refused(side: int, scales: int, advice: str) -> None:
    x = torch.zeros(1, 1, side, 200)
    with pytest.raises(UserError, match=f"at {scales} scales needs .* {side}x200: .*{advice}"):
        loss(x, x, scales=scales)


def test_half_precision_is_compared_in_float32() -> None:
    x, y = (z.to(torch.bfloat16) for z in pictures(48, 0.2))
    assert loss(x, y, scales=2).dtype == torch.float32
    assert torch.equal(loss(x, y, scales=2), loss(x.float(), y.float(), scales=2))
