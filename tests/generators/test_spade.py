from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from p2ptk.contracts import Generator
from p2ptk.generators.spade import SPADE, Modulation, SPADEBlock
from p2ptk.spectral import SpectralConv2d


@pytest.mark.parametrize(
    ("classes", "expected"), [(36, 93_048_003), (151, 96_492_483), (184, 97_480_899)]
)
def test_parameter_counts_of_the_paper(classes: int, expected: int) -> None:
    """93.0, 96.5 and 97.5 million for Cityscapes, ADE20K and COCO-Stuff, as published."""
    with torch.device("meta"):
        network = SPADE(source_channels=classes, target_channels=3)
    assert isinstance(network, Generator)
    assert sum(p.numel() for p in network.parameters()) == expected
    assert network.size_multiple == 32


def test_the_widths_of_the_paper() -> None:
    with torch.device("meta"):
        network = SPADE(source_channels=36, target_channels=3)
    widths = [block.conv2.out_channels for block in network.blocks]
    assert widths == [1024, 1024, 1024, 512, 256, 128, 64]


@settings(max_examples=20, deadline=None)
@given(
    depth=st.integers(1, 6),
    times=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    channels=st.tuples(st.integers(1, 4), st.integers(1, 3)),
    norm=st.sampled_from(["batch", "instance", "none"]),
    spectral=st.booleans(),
)
def test_any_combination_trains_on_one_image_of_any_multiple(
    depth: int, times: tuple[int, int], channels: tuple[int, int], **options: Any
) -> None:
    source, target = channels
    network = SPADE(
        source_channels=source, target_channels=target, depth=depth, width=1, hidden=2, **options
    ).train()
    assert network.size_multiple == 2**depth
    height, width = (network.size_multiple * n for n in times)
    fake = network(torch.randn(1, source, height, width))
    assert fake.shape == (1, target, height, width)
    assert fake.abs().max() <= 1
    fake.square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    with torch.no_grad():
        assert network.eval()(torch.randn(1, source, height, width)).isfinite().all()


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_modulation_by_the_definition(norm: Any) -> None:
    torch.manual_seed(0)
    layer = Modulation(3, source=2, hidden=4, norm=norm)
    x, source = torch.randn(2, 3, 4, 4) * 5 + 2, torch.randn(2, 2, 8, 8)
    over = (0, 2, 3) if norm == "batch" else (2, 3)
    variance, mean = torch.var_mean(x, over, correction=0, keepdim=True)
    h = source[:, :, ::2, ::2]  # nearest neighbours at half the size
    h = F.relu(F.conv2d(h, layer.shared.weight, layer.shared.bias, padding=1))
    gamma, beta = (F.conv2d(h, c.weight, c.bias, padding=1) for c in (layer.gamma, layer.beta))
    expected = (x - mean) / (variance + 1e-5).sqrt() * (1 + gamma) + beta
    torch.testing.assert_close(layer(x, source), expected, atol=1e-5, rtol=1e-4)


def test_without_modulation_a_block_is_residual() -> None:
    torch.manual_seed(0)
    options: dict[str, Any] = {"source": 2, "hidden": 3, "norm": "none", "spectral": False}
    x, source = torch.randn(1, 4, 6, 6), torch.randn(1, 2, 6, 6)
    same, other = SPADEBlock(4, 4, **options), SPADEBlock(4, 2, **options)
    assert same.modulate_skip is None
    for block in (same, other):
        nn.init.zeros_(block.conv2.weight)
        nn.init.zeros_(block.conv2.bias)
        for layer in block.modules():
            if isinstance(layer, Modulation):
                for conv in (layer.gamma, layer.beta):
                    nn.init.zeros_(conv.weight)
                    nn.init.zeros_(conv.bias)
    assert torch.equal(same(x, source), x)
    torch.testing.assert_close(other(x, source), F.conv2d(x, other.conv_skip.weight))


def test_every_place_of_the_label_map_reaches_the_picture() -> None:
    """A flat label map would be normalised away in a generator that sees it at its input only."""
    torch.manual_seed(0)
    network = SPADE(source_channels=3, target_channels=3, depth=3, width=2, hidden=4).eval()

    def flat(label: int) -> Tensor:
        return F.one_hot(torch.full((1, 16, 16), label), 3).movedim(-1, 1).float()

    pictures = [network(flat(label)) for label in range(3)]
    assert (pictures[0] - pictures[1]).abs().mean() > 1e-3
    assert (pictures[1] - pictures[2]).abs().mean() > 1e-3


def test_spectral_norm_is_on_the_blocks_convolutions() -> None:
    network = SPADE(source_channels=3, target_channels=3, depth=2, width=1, hidden=2)
    spectral = {n for n, m in network.named_modules() if isinstance(m, SpectralConv2d)}
    assert all(name.rpartition(".")[2] in ("conv1", "conv2", "conv_skip") for name in spectral)
    assert len(spectral) == 2 * 4 + 1
