from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from p2ptk.contracts import Discriminator
from p2ptk.discriminators.patchgan import PatchGAN
from p2ptk.errors import UserError
from p2ptk.spectral import SpectralConv2d

RGB = {"source_channels": 3, "target_channels": 3}
FIELDS = {0: 1, 1: 16, 2: 34, 3: 70, 4: 142, 5: 286, 6: 574}


def test_parameter_count_of_the_70_pixel_reference() -> None:
    network = PatchGAN(**RGB)
    assert isinstance(network, Discriminator)
    assert sum(p.numel() for p in network.parameters()) == 2_768_705


@pytest.mark.parametrize(("layers", "expected"), FIELDS.items())
def test_one_logit_sees_just_the_declared_receptive_field(layers: int, expected: int) -> None:
    network = PatchGAN(source_channels=1, target_channels=1, layers=layers, width=1, norm="none")
    assert network.receptive_field == expected
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.1)  # so that no path cancels out
    side = 2 * expected + 3 * 2**layers
    source = torch.zeros(1, 1, 2**layers * 4, side, requires_grad=True)
    image = torch.zeros_like(source, requires_grad=True)
    logits = network(source, image).logits[0]
    logits[0, 0, 0, logits.shape[-1] // 2].backward()
    for x in (source, image):
        assert x.grad is not None
        seen = x.grad[0, 0].abs().sum(0).nonzero()[:, 0]
        assert seen.max() - seen.min() + 1 == expected
        assert len(seen) == expected
        assert 0 < seen.min() <= seen.max() < side - 1


@pytest.mark.parametrize("layers", FIELDS)
def test_the_widths_of_the_paper(layers: int) -> None:
    with torch.device("meta"):
        network = PatchGAN(**RGB, layers=layers)
    expected = [min(64 * 2**i, 512) for i in range(max(layers, 1) + 1)]
    assert [layer.conv.out_channels for layer in network.layers] == expected


def test_the_judgement_has_logits_and_the_features_before_them() -> None:
    network = PatchGAN(**RGB, layers=2, width=4)
    judgement = network(torch.randn(2, 3, 32, 48), torch.randn(2, 3, 32, 48))
    assert [x.shape for x in judgement.logits] == [(2, 1, 6, 10)]
    assert [tuple(x.shape) for x in judgement.features[0]] == [
        (2, 4, 16, 24),
        (2, 8, 8, 12),
        (2, 16, 7, 11),
    ]
    torch.testing.assert_close(network.last(judgement.features[0][-1]), judgement.logits[0])


def test_conditional_means_source_then_image() -> None:
    network = PatchGAN(source_channels=2, target_channels=3, layers=1, width=2, norm="none")
    assert network.layers[0].conv.in_channels == 5
    network.layers[0].conv.weight.data[:, :2] = 0  # blind to the source
    image = torch.randn(1, 3, 8, 8)
    a, b = (network(torch.randn(1, 2, 8, 8), image).logits[0] for _ in range(2))
    assert torch.equal(a, b)


def test_unconditional_never_sees_the_source() -> None:
    network = PatchGAN(source_channels=2, target_channels=3, layers=1, width=2, conditional=False)
    assert network.layers[0].conv.in_channels == 3
    source = torch.randn(1, 2, 8, 8, requires_grad=True)
    logits = network(source, torch.randn(1, 3, 8, 8)).logits[0]
    assert torch.autograd.grad(logits.sum(), source, allow_unused=True) == (None,)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_smallest_image_trains_and_a_smaller_one_is_refused(layers: int) -> None:
    network = PatchGAN(source_channels=1, target_channels=1, layers=layers, width=2)
    smallest = torch.randn(1, 1, 3 * 2**layers, 64)
    assert network(smallest, smallest).logits[0].shape[-2] == 1
    small = smallest[:, :, 1:]
    with pytest.raises(UserError, match=f"at least {3 * 2**layers} pixels"):
        network(small, small)


@pytest.mark.parametrize(
    ("layers", "norm", "bias", "expected"),
    [
        (3, "batch", "port", [1, 0, 0, 0, 1]),
        (3, "instance", "port", [1, 1, 1, 1, 1]),
        (3, "none", "no-norm", [1, 1, 1, 1, 1]),
        (3, "batch", "none", [0, 0, 0, 0, 0]),
        (0, "batch", "port", [1, 0, 0]),
        (0, "batch", "no-norm", [1, 0, 1]),
    ],
)
def test_biases(layers: int, norm: Any, bias: Any, expected: list[int]) -> None:
    network = PatchGAN(**RGB, layers=layers, width=1, norm=norm, bias=bias)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert [int(m.bias is not None) for m in convolutions] == expected
    normed = [isinstance(layer.norm, nn.Identity) for layer in network.layers]
    assert normed[0]


def test_a_gradient_penalty_can_be_differentiated() -> None:
    torch.manual_seed(0)
    network = PatchGAN(**RGB, layers=2, width=4, norm="instance")
    source, image = torch.randn(2, 1, 3, 32, 32)
    image.requires_grad_()
    logits = network(source, image).logits[0]
    (slope,) = torch.autograd.grad(logits.sum(), image, create_graph=True)
    (slope.flatten(1).norm(dim=1) - 1).square().mean().backward()
    assert network.layers[0].conv.weight.grad.abs().sum() > 0


def test_spectral_norm_changes_neither_keys_nor_parameters() -> None:
    plain = PatchGAN(**RGB, layers=2, width=4, norm="instance")
    spectral = PatchGAN(**RGB, layers=2, width=4, norm="instance", spectral=True)
    assert set(dict(plain.named_parameters())) == set(dict(spectral.named_parameters()))
    convolutions = [m for m in spectral.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 4
    assert all(isinstance(m, SpectralConv2d) for m in convolutions)
    assert not any(isinstance(m, SpectralConv2d) for m in plain.modules())


def test_spectral_norm_bounds_the_slope() -> None:
    """Each 4x4 convolution of stride s repeats a value (4 / s)^2 times, LeakyReLU at most once."""
    torch.manual_seed(0)
    network = PatchGAN(**RGB, layers=1, width=4, norm="none", spectral=True)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(50.0)
        for _ in range(50):
            network(torch.randn(1, 3, 16, 16), torch.randn(1, 3, 16, 16))
    network.eval()
    source = torch.randn(1, 3, 16, 16)
    x, y = torch.randn(2, 1, 3, 16, 16)
    a, b = (network(source, z).logits[0] for z in (x, y))
    assert (a - b).norm() <= 2 * 4 * 4 * (x - y).norm()
