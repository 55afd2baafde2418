"""Parameters, work and speed against numbers that were worked out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from p2ptk import create
from p2ptk.study.cost import count_macs, count_parameters, training_speed


def test_work_of_convolutions() -> None:
    # k * k * in * out for each place of the finer map that is not the output of a stride.
    assert count_macs(nn.Conv2d(3, 8, 3, padding=1), (1, 3, 16, 16)) == 9 * 3 * 8 * 16 * 16
    assert count_macs(nn.Conv2d(4, 2, 4, 2, 1), (1, 4, 8, 8)) == 16 * 4 * 2 * 4 * 4
    assert count_macs(nn.ConvTranspose2d(4, 2, 4, 2, 1), (1, 4, 8, 8)) == 16 * 4 * 2 * 8 * 8


def test_work_that_cannot_be_counted_is_left_out() -> None:
    class Odd(nn.Module):
        def forward(self, source: Tensor) -> Tensor:
            raise RuntimeError("only on Tuesdays")

    assert count_macs(Odd(), (1, 3, 8, 8)) is None


def test_shared_parameters_count_once() -> None:
    layer = nn.Linear(4, 4)
    assert count_parameters(nn.Sequential(layer, layer)) == 20


@pytest.mark.slow
def test_the_papers_generator() -> None:
    """54.4 million weights; a forward pass at 256 pixels is 12.10 GFLOP."""
    unet = create("generator", "unet", source_channels=3, target_channels=3).eval()
    macs = count_macs(unet, (1, 3, 256, 256))
    assert macs is not None
    assert macs == pytest.approx(6.05e9, rel=2e-3)
    assert count_parameters(unet) == pytest.approx(54.4e6, rel=1e-3)
    assert torch.is_grad_enabled()


def test_speed_leaves_the_first_window_and_odd_ones_out() -> None:
    rows = [
        {"step": 1, "seconds": 30.0, "images_per_s": 0.1},  # decoding
        {"step": 11, "seconds": 32.0, "images_per_s": 0.7},
        {"step": 21, "seconds": 34.0, "images_per_s": 1.2},
        {"step": 31, "seconds": 46.0, "images_per_s": 1.3},  # a validation
        {"step": 41, "seconds": 48.0, "images_per_s": 1.7},
    ]
    assert training_speed(rows, 4) == 20.0
    assert training_speed(rows[:2], 1) == 5.0


def test_speed_of_short_logs() -> None:
    assert training_speed([], 1) is None
    assert training_speed([{"step": 6, "seconds": 3.0, "images_per_s": 4.5}], 2) == 4.5
    assert training_speed([{"step": 6, "seconds": 3.0}, {"step": 9, "seconds": 3.0}], 2) is None
