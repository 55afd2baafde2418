from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from p2ptk.contracts import Discriminator
from p2ptk.discriminators.unet import UNetDiscriminator
from p2ptk.errors import UserError
from p2ptk.spectral import SpectralConv2d

RGB = {"source_channels": 3, "target_channels": 3}


def test_parameter_count() -> None:
    with torch.device("meta"):
        network = UNetDiscriminator(**RGB)
    assert isinstance(network, Discriminator)
    assert sum(p.numel() for p in network.parameters()) == 4_754_562


@settings(max_examples=25, deadline=None)
@given(
    layers=st.integers(1, 4),
    more=st.tuples(st.integers(0, 21), st.integers(0, 21)),
    norm=st.sampled_from(["batch", "instance", "none"]),
    conditional=st.booleans(),
    spectral=st.booleans(),
)
def test_any_size_gets_a_logit_a_pixel_and_gradients_everywhere(
    layers: int, more: tuple[int, int], **options: Any
) -> None:
    network = UNetDiscriminator(
        source_channels=2, target_channels=1, layers=layers, width=2, **options
    )
    height, width = (2 * 2**layers + extra for extra in more)
    source, image = torch.randn(1, 2, height, width), torch.randn(1, 1, height, width)
    judgement = network(source, image)
    whole, pixels = judgement.logits
    assert whole.shape == (1, 1, height // 2**layers, width // 2**layers)
    assert pixels.shape == (1, 1, height, width)
    encoder, decoder = judgement.features
    assert [x.shape[-2] for x in encoder] == [height // 2 ** (n + 1) for n in range(layers)]
    assert [x.shape[-2] for x in decoder] == [height // 2**n for n in reversed(range(layers))]
    (whole.sum() + pixels.sum()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_pixels_logit_sees_at_most_the_declared_receptive_field(layers: int) -> None:
    network = UNetDiscriminator(
        source_channels=1, target_channels=1, layers=layers, width=1, norm="none", spectral=False
    )
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.1)
    field, step = network.receptive_field, 2**layers
    side = 4 * field // step * step
    image = torch.zeros(1, 1, 2 * step, side, requires_grad=True)
    pixels = network(torch.zeros_like(image), image).logits[1]
    stretches = []
    for place in range(side // 2, side // 2 + step):
        (slope,) = torch.autograd.grad(pixels[0, 0, 0, place], image, retain_graph=True)
        seen = slope[0, 0].abs().sum(0).nonzero()[:, 0]
        stretches.append(int(seen.max() - seen.min()) + 1)
    assert max(stretches) == field


def test_equals_the_definition() -> None:
    """Two halvings and two doublings by plain functions."""
    torch.manual_seed(0)
    network = UNetDiscriminator(**RGB, layers=2, width=2, norm="instance", spectral=False)
    source, image = torch.randn(2, 1, 3, 12, 8).unbind()

    def conv(x: torch.Tensor, layer: nn.Module, **options: int) -> torch.Tensor:
        return F.conv2d(x, layer.weight, layer.bias, padding=1, **options)

    def double(x: torch.Tensor) -> torch.Tensor:
        return F.interpolate(x, scale_factor=2.0)

    fine = F.leaky_relu(conv(torch.cat([source, image], 1), network.down[0].conv, stride=2), 0.2)
    coarse = F.leaky_relu(F.instance_norm(conv(fine, network.down[1].conv, stride=2)), 0.2)
    half = F.leaky_relu(F.instance_norm(conv(double(coarse), network.up[0].conv)), 0.2)
    half = torch.cat([half, fine], 1)
    full = F.leaky_relu(F.instance_norm(conv(double(half), network.up[1].conv)), 0.2)
    whole, pixels = network(source, image).logits
    torch.testing.assert_close(whole, conv(coarse, network.bottom), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(pixels, conv(full, network.last), atol=1e-5, rtol=1e-5)


def test_too_small_an_image_is_refused() -> None:
    network = UNetDiscriminator(**RGB, layers=3, width=2)
    x = torch.randn(1, 3, 15, 64)
    with pytest.raises(UserError, match="15x64: its layers need at least 16 pixels"):
        network(x, x)


def test_spectral_norm_is_on_every_convolution_unless_switched_off() -> None:
    for spectral in (True, False):
        network = UNetDiscriminator(**RGB, layers=2, width=2, spectral=spectral)
        convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
        assert len(convolutions) == 6
        assert all(isinstance(m, SpectralConv2d) == spectral for m in convolutions)
