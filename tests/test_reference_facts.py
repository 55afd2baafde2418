"""Facts of the paper and its PyTorch port that no test of a single component holds."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from p2ptk.components import create
from p2ptk.generators.unet import UNet
from p2ptk.init import initialise

RGB = {"source_channels": 3, "target_channels": 3}


@pytest.mark.parametrize(
    ("kind", "spec", "millions"),
    [
        ("generator", "unet", 54.414),
        ("generator", "unet:depth=7", 41.829),
        ("generator", "resnet:norm=instance", 11.378),
        ("generator", "resnet:norm=instance,blocks=6", 7.838),
        ("discriminator", "patchgan", 2.769),
    ],
)
def test_parameters_are_as_many_as_the_port_prints(kind: str, spec: str, millions: float) -> None:
    with torch.device("meta"):
        network = create(kind, spec, **RGB)
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 3) == millions


def test_the_decoder_joins_the_channels_that_the_paper_lists() -> None:
    """CD512-CD1024-CD1024-C1024-C1024-C512-C256-C128 (v3, 6.1.1), the skips included."""
    with torch.device("meta"):
        network = UNet(**RGB)
    widths = [up.conv.out_channels for up in network.up]
    assert widths == [512, 512, 512, 512, 256, 128, 64, 3]
    joined = [up.conv.in_channels for up in network.up]
    assert joined == [512, 1024, 1024, 1024, 1024, 512, 256, 128]


def test_three_quarters_of_the_innermost_taps_only_ever_see_padding() -> None:
    """At 256 pixels 6.3 M of the 54.4 M weights never get a gradient."""
    torch.manual_seed(0)
    network = UNet(**RGB, width=1, dropout=0.0, norm="none", bias="all")
    initialise(network, "kaiming")
    source, target = torch.rand(2, 1, 3, 256, 256) * 2 - 1
    (network(source) - target).abs().mean().backward()
    inner = [network.encoder.down[-1].conv, network.up[0].conv]
    for conv in inner:
        assert isinstance(conv, (nn.Conv2d, nn.ConvTranspose2d))
        taps = conv.weight.grad.abs().sum((0, 1))
        used = torch.zeros(4, 4)
        used[1:3, 1:3] = 1
        assert torch.equal((taps > 0).float(), used)
    with torch.device("meta"):
        full = UNet(**RGB)
    sizes = [full.encoder.down[-1].conv.weight.numel(), full.up[0].conv.weight.numel()]
    assert round(sum(sizes) * 0.75 / 1e6, 1) == 6.3
