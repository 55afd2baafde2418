from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from p2ptk.generators.resnet import ResNet

RGB = {"source_channels": 3, "target_channels": 3}


def test_parameter_count_of_nine_blocks() -> None:
    with torch.device("meta"):
        network = ResNet(**RGB, norm="instance")
    assert sum(p.numel() for p in network.parameters()) == 11_378_179


@pytest.mark.parametrize("padding", ["reflect", "replicate", "zero"])
@pytest.mark.parametrize("upsample", ["transpose", "resize", "subpixel"])
@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
def test_shapes_and_gradients(padding: Any, upsample: Any, norm: Any) -> None:
    network = ResNet(
        source_channels=1,
        target_channels=2,
        width=2,
        blocks=2,
        dropout=0.5,
        padding=padding,
        upsample=upsample,
        norm=norm,
    )
    fake = network(torch.randn(1, 1, 8, 12))
    assert fake.shape == (1, 2, 8, 12)
    assert fake.abs().max() <= 1
    fake.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("downsamplings", [0, 1, 3])
def test_size_multiple(downsamplings: int) -> None:
    network = ResNet(**RGB, width=2, blocks=1, downsamplings=downsamplings)
    assert network.size_multiple == 2**downsamplings
    assert network(torch.zeros(2, 3, 16, 24)).shape == (2, 3, 16, 24)


def test_equals_the_definition() -> None:
    """c7s1, halving, one block, doubling, c7s1 by plain functions."""
    torch.manual_seed(0)
    network = ResNet(**RGB, width=2, blocks=1, downsamplings=1, norm="instance")
    x = torch.randn(2, 3, 16, 16)

    def reflected(h: torch.Tensor, conv: nn.Module, pad: int) -> torch.Tensor:
        return F.conv2d(F.pad(h, [pad] * 4, mode="reflect"), conv.weight, conv.bias)

    h = F.relu(F.instance_norm(reflected(x, network.first.conv, 3)))
    down = network.down[0].conv
    h = F.relu(F.instance_norm(F.conv2d(h, down.weight, down.bias, stride=2, padding=1)))
    block = network.blocks[0]
    inner = F.relu(F.instance_norm(reflected(h, block.conv1, 1)))
    h = h + F.instance_norm(reflected(inner, block.conv2, 1))
    up = network.up[0].conv
    h = F.conv_transpose2d(h, up.weight, up.bias, stride=2, padding=1, output_padding=1)
    expected = torch.tanh(reflected(F.relu(F.instance_norm(h)), network.last, 3))
    torch.testing.assert_close(network(x), expected, atol=1e-5, rtol=1e-5)
