from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from p2ptk.generators.unet import UNet
from p2ptk.generators.upsample import SubpixelConv2d
from p2ptk.init import initialise


def unet(**options: Any) -> UNet:
    return UNet(source_channels=3, target_channels=3, depth=3, width=4, bias="all", **options)


def seeded(network: nn.Module, **options: Any) -> dict[str, torch.Tensor]:
    torch.manual_seed(5)
    initialise(network, **options)
    return dict(network.state_dict())


def test_normal_has_the_moments_of_the_paper() -> None:
    network = nn.Sequential(nn.Conv2d(32, 64, 4), nn.BatchNorm2d(4096), nn.ConvTranspose2d(9, 9, 9))
    torch.manual_seed(0)
    initialise(network)
    conv, norm, up = network
    assert conv.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert conv.weight.mean().item() == pytest.approx(0, abs=3e-4)
    assert up.weight.std().item() == pytest.approx(0.02, rel=0.03)
    assert norm.weight.mean().item() == pytest.approx(1, abs=1e-3)
    assert norm.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert not any(layer.bias.any() for layer in network)


@pytest.mark.parametrize("how", ["normal", "xavier", "kaiming", "orthogonal"])
def test_a_seed_gives_one_set_of_weights_in_any_memory_format_and_device(how: Any) -> None:
    plain = seeded(unet(), how=how)
    last = seeded(unet().to(memory_format=torch.channels_last), how=how)
    low = seeded(unet().to(torch.bfloat16), how=how)
    for name, tensor in plain.items():
        assert torch.equal(tensor, last[name]), name
        assert torch.equal(tensor.to(low[name].dtype), low[name]), name
    torch.manual_seed(6)
    other = unet()
    initialise(other, how=how)
    assert not torch.equal(other.up[0].conv.weight, plain["up.0.conv.weight"])


def test_each_scheme_has_its_scale() -> None:
    def weight(how: Any, gain: float) -> torch.Tensor:
        layer = nn.Linear(200, 100)
        torch.manual_seed(0)
        initialise(layer, how, gain)
        return layer.weight

    assert weight("xavier", 0.5).std().item() == pytest.approx(0.5 * (2 / 300) ** 0.5, rel=0.05)
    assert weight("kaiming", 0.5).std().item() == pytest.approx((2 / 200) ** 0.5, rel=0.05)
    rows = weight("orthogonal", 0.5)
    torch.testing.assert_close(rows @ rows.T, 0.25 * torch.eye(100), atol=1e-4, rtol=0)


def test_what_is_pretrained_keeps_its_weights() -> None:
    network = unet()
    network.encoder.keep_init = True
    before = {name: x.clone() for name, x in network.state_dict().items()}
    after = seeded(network)
    for name, tensor in after.items():
        if name.startswith("encoder."):
            assert torch.equal(tensor, before[name]), name
    assert not torch.equal(after["up.0.conv.weight"], before["up.0.conv.weight"])


def test_other_layers_keep_their_own_start() -> None:
    network = nn.Sequential(nn.GroupNorm(2, 4), nn.LayerNorm(4), nn.BatchNorm2d(4, affine=False))
    before = {name: x.clone() for name, x in network.state_dict().items()}
    for name, tensor in seeded(network).items():
        assert torch.equal(tensor, before[name])


def test_subpixel_layers_start_without_checkerboard() -> None:
    network = unet(upsample="subpixel")
    seeded(network)
    layers = [m for m in network.modules() if isinstance(m, SubpixelConv2d)]
    assert len(layers) == 3
    for layer in layers:
        fours = layer.weight.unflatten(0, (-1, 4))
        assert torch.equal(fours, fours[:, :1].expand_as(fours))
        assert fours.std() > 0.01


def test_spectrally_normed_layers_are_drawn_too() -> None:
    layer = spectral_norm(nn.Conv2d(8, 8, 3))
    before = layer.weight.detach().clone()
    seeded(layer)
    plain = seeded(nn.Conv2d(8, 8, 3))
    assert torch.equal(layer.parametrizations.weight.original, plain["weight"])
    assert not torch.equal(layer.weight, before)


def test_gradients_stay_on_and_nothing_is_recorded() -> None:
    network = unet()
    initialise(network)
    assert all(p.requires_grad and p.grad_fn is None for p in network.parameters())
