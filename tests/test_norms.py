from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from p2ptk.norms import conv_bias, norm_layer


def test_batch_is_affine_with_running_statistics() -> None:
    layer = norm_layer("batch", 4)
    assert isinstance(layer, nn.BatchNorm2d)
    assert layer.affine
    assert layer.track_running_stats


def test_instance_has_no_parameters_and_acts_alike_in_training_and_use() -> None:
    layer = norm_layer("instance", 4)
    assert layer.state_dict() == {}
    x = torch.randn(2, 4, 5, 5) * 3 + 1
    y = layer(x)
    assert torch.equal(y, layer.eval()(x))
    torch.testing.assert_close(y.mean(dim=(2, 3)), torch.zeros(2, 4), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.var(dim=(2, 3), correction=0), torch.ones(2, 4), atol=1e-3, rtol=0)


def test_instance_leaves_a_map_of_one_pixel() -> None:
    x = torch.randn(2, 4, 1, 1)
    assert torch.equal(norm_layer("instance", 4).train()(x), x)


@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("gradient_layout", [torch.contiguous_format, torch.channels_last])
def test_the_gradient_of_instance_does_not_depend_on_the_memory_format(
    images: int, layout: torch.memory_format, gradient_layout: torch.memory_format
) -> None:
    torch.manual_seed(0)
    x, g = torch.randn(2, images, 3, 6, 7, dtype=torch.float64)
    laid = x.contiguous(memory_format=layout).requires_grad_()
    norm_layer("instance", 3)(laid).backward(g.contiguous(memory_format=gradient_layout))
    assert laid.grad is not None
    # With y = (x - mean) / s: dx = (g - mean(g) - y mean(g y)) / s.
    centred = x - x.mean((2, 3), keepdim=True)
    s = (centred.square().mean((2, 3), keepdim=True) + 1e-5).sqrt()
    y = centred / s
    expected = g - g.mean((2, 3), keepdim=True) - y * (g * y).mean((2, 3), keepdim=True)
    torch.testing.assert_close(laid.grad, expected / s, atol=1e-9, rtol=1e-9)


def test_none_is_the_identity() -> None:
    x = torch.randn(1, 2, 3, 3)
    assert norm_layer("none", 2)(x) is x


@pytest.mark.parametrize(
    ("rule", "norm", "normed", "always", "expected"),
    [
        ("port", "batch", True, False, False),
        ("port", "batch", False, False, False),
        ("port", "batch", False, True, True),
        ("port", "instance", True, False, True),
        ("port", "none", True, False, False),
        ("no-norm", "batch", True, False, False),
        ("no-norm", "batch", False, False, True),
        ("no-norm", "none", True, False, True),
        ("all", "batch", True, False, True),
        ("none", "instance", False, True, False),
    ],
)
def test_bias_rules(rule: Any, norm: Any, normed: bool, always: bool, expected: bool) -> None:
    assert conv_bias(rule, norm, normed=normed, always=always) is expected
