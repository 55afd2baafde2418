from __future__ import annotations

import pytest
import torch

from p2ptk import create
from p2ptk.errors import UserError
from p2ptk.losses.ms_ssim import MSSSIMLoss
from p2ptk.metrics.ms_ssim import MSSSIM


def test_it_is_one_less_the_loss() -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.rand(2, 3, 48, 50, generator=rng) * 2 - 1
    y = (x + 0.3 * torch.randn(x.shape, generator=rng)).clamp(-1, 1)
    metric = create("metric", "ms-ssim:scales=3")
    metric.update(x, y, x)

    class Given:
        fake, target = x, y

    loss = MSSSIMLoss(scales=3).generator(Given())  # type: ignore[arg-type]
    assert metric.compute() == {"ms-ssim-3": pytest.approx(1 - float(loss), abs=1e-5)}


def test_what_contradicts_the_target_counts_as_zero() -> None:
    x = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    metric = MSSSIM(scales=2)
    metric.update(-x, x, x)
    metric.update(x, x, x)
    assert metric.values["ms-ssim-2"] == pytest.approx([0.0, 1.0])


def test_small_images_are_refused_with_what_would_do() -> None:
    x = torch.zeros(1, 3, 64, 100)
    with pytest.raises(UserError, match=r"at least 176 pixels.*64x100: ms-ssim:scales=3 would do"):
        MSSSIM().update(x, x, x)
    with pytest.raises(UserError, match="use larger images"):
        MSSSIM(scales=1).update(x[..., :5], x[..., :5], x)
