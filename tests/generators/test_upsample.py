from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from p2ptk.generators.upsample import SubpixelConv2d, upsampler


@pytest.mark.parametrize("upsample", ["transpose", "resize", "subpixel"])
@pytest.mark.parametrize("kernel", [3, 4])
@pytest.mark.parametrize("bias", [True, False])
def test_doubles_the_size(upsample: Any, kernel: Any, bias: bool) -> None:
    layer = upsampler(upsample, 3, 5, bias=bias, kernel=kernel)
    assert layer(torch.randn(2, 3, 4, 7)).shape == (2, 5, 8, 14)
    assert (layer.bias is not None) == bias


def test_resize_makes_no_checkerboard_of_a_constant() -> None:
    torch.manual_seed(0)
    flat = torch.ones(1, 4, 8, 8)
    inside = (..., slice(4, -4), slice(4, -4))
    resized = upsampler("resize", 4, 3, bias=True)(flat)[inside]
    transposed = upsampler("transpose", 4, 3, bias=True)(flat)[inside]
    assert resized.std(dim=(-2, -1)).max() < 1e-6
    assert transposed.std(dim=(-2, -1)).min() > 1e-3


def test_subpixel_starts_as_nearest_neighbours() -> None:
    layer = upsampler("subpixel", 4, 3, bias=True)
    assert isinstance(layer, SubpixelConv2d)
    layer.bias.data.zero_()
    layer.after_init()
    x = torch.randn(2, 4, 6, 6)
    small = F.conv2d(x, layer.weight[::4], padding=1)
    torch.testing.assert_close(layer(x), F.interpolate(small, scale_factor=2.0, mode="nearest"))
