"""Our own numbers against torchmetrics', on the same images."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from p2ptk.metrics.class_scores import ClassScores
from p2ptk.metrics.l1 import L1
from p2ptk.metrics.ms_ssim import MSSSIM, WEIGHTS
from p2ptk.metrics.psnr import PSNR
from p2ptk.metrics.ssim import SSIM

image: Any = pytest.importorskip("torchmetrics.functional.image")
classes: Any = pytest.importorskip("torchmetrics.functional.classification")


def pictures(side: int, channels: int = 3) -> tuple[Tensor, Tensor]:
    """Two N C H W in [0, 1], float64, the second with noise."""
    rng = torch.Generator().manual_seed(0)
    coarse = torch.rand(3, channels, 9, 9, generator=rng, dtype=torch.float64)
    x = torch.nn.functional.interpolate(coarse, size=(side, side + 8), mode="bilinear")
    noise = torch.randn(x.shape, generator=rng, dtype=torch.float64)
    return x, (x + 0.1 * noise).clamp(0, 1)


def scored(metric: Any, x: Tensor, y: Tensor) -> list[float]:
    metric.update(x * 2 - 1, y * 2 - 1, x)
    [values] = metric.values.values()
    return list(values)


def test_psnr() -> None:
    x, y = pictures(32)
    expected = image.peak_signal_noise_ratio(x, y, data_range=1.0, reduction="none", dim=(1, 2, 3))
    assert scored(PSNR(), x, y) == pytest.approx(expected.tolist(), rel=1e-6)


def test_l1() -> None:
    x, y = pictures(32)
    expected = (x - y).abs().flatten(1).mean(1)
    assert scored(L1(), x, y) == pytest.approx(expected.tolist(), rel=1e-9)


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_with_reflected_borders_is_torchmetrics(channels: int) -> None:
    x, y = pictures(40, channels)
    expected = image.structural_similarity_index_measure(x, y, data_range=1.0, reduction="none")
    assert scored(SSIM(border="reflect"), x, y) == pytest.approx(expected.tolist(), abs=1e-9)


def test_ssim_of_whole_windows_is_the_inside_of_torchmetrics_map() -> None:
    x, y = pictures(40)
    _, full = image.structural_similarity_index_measure(
        x, y, data_range=1.0, reduction="none", return_full_image=True
    )
    inside = full[..., 5:-5, 5:-5].flatten(1).mean(1)
    assert scored(SSIM(), x, y) == pytest.approx(inside.tolist(), abs=1e-9)


def test_ms_ssim_from_torchmetrics_maps() -> None:
    """Scale by scale: the inside of its maps of a single channel, as the authors' code takes it."""
    x, y = pictures(180, 1)
    product, one, other = torch.ones(3, dtype=torch.float64), x, y
    for scale, weight in enumerate(WEIGHTS):
        if scale < 4:
            _, contrast = image.structural_similarity_index_measure(
                one, other, data_range=1.0, reduction="none", return_contrast_sensitivity=True
            )
            product *= contrast**weight
            one, other = (torch.nn.functional.avg_pool2d(z, 2) for z in (one, other))
        else:
            _, full = image.structural_similarity_index_measure(
                one, other, data_range=1.0, reduction="none", return_full_image=True
            )
            product *= full[..., 5:-5, 5:-5].flatten(1).mean(1) ** weight
    assert scored(MSSSIM(), x, y) == pytest.approx(product.tolist(), rel=1e-8)


def test_class_rates() -> None:
    """Classes that do not occur are left out of the means, as torchmetrics does."""
    rng = torch.Generator().manual_seed(0)
    truth = torch.randint(0, 5, (4, 16, 16), generator=rng)  # of 7: two never occur
    noise = torch.rand(truth.shape, generator=rng) < 0.3
    predicted = torch.where(noise, torch.randint(0, 5, truth.shape, generator=rng), truth)
    scores = ClassScores(7)
    scores.add(predicted, truth)
    options = {"num_classes": 7}
    expected = {
        "pixel-accuracy": classes.multiclass_accuracy(predicted, truth, average="micro", **options),
        "class-accuracy": classes.multiclass_accuracy(predicted, truth, average="macro", **options),
        "class-iou": classes.multiclass_jaccard_index(predicted, truth, average="macro", **options),
    }
    assert scores.values() == pytest.approx({k: float(v) for k, v in expected.items()}, abs=1e-6)
