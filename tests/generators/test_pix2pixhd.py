from __future__ import annotations

from typing import Any

import pytest
import torch

from p2ptk.contracts import Generator
from p2ptk.generators.pix2pixhd import Pix2PixHD
from p2ptk.generators.resnet import ResNet

RGB = {"source_channels": 3, "target_channels": 3}


@pytest.mark.parametrize(("channels", "expected"), [(36, 182_546_755), (3, 182_443_267)])
def test_parameter_count_of_the_global_generator(channels: int, expected: int) -> None:
    """182.5 million for Cityscapes' 35 classes and edges, as later papers' tables have it."""
    with torch.device("meta"):
        network = Pix2PixHD(source_channels=channels, target_channels=3)
    assert sum(p.numel() for p in network.parameters()) == expected


def test_the_widths_of_the_paper() -> None:
    with torch.device("meta"):
        network = Pix2PixHD(**RGB)
    assert isinstance(network, Generator)
    assert [layer.conv.out_channels for layer in network.down] == [128, 256, 512, 1024]
    assert [layer.conv.out_channels for layer in network.up] == [512, 256, 128, 64]
    assert {block.conv1.out_channels for block in network.blocks} == {1024}
    assert len(network.blocks) == 9
    assert network.size_multiple == 16


def test_it_is_a_resnet_with_four_halvings() -> None:
    torch.manual_seed(0)
    network = Pix2PixHD(**RGB, width=2, blocks=1)
    other = ResNet(**RGB, width=2, blocks=1, downsamplings=4, norm="instance")
    other.load_state_dict(network.state_dict())
    x = torch.randn(1, 3, 32, 48)
    assert torch.equal(network(x), other(x))


@pytest.mark.parametrize("upsample", ["transpose", "resize", "subpixel"])
def test_shapes_and_gradients(upsample: Any) -> None:
    network = Pix2PixHD(**RGB, width=2, blocks=1, upsample=upsample)
    fake = network(torch.randn(1, 3, 32, 48))
    assert fake.shape == (1, 3, 32, 48)
    assert fake.abs().max() <= 1
    fake.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
