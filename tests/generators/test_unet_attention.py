from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from p2ptk.contracts import Generator
from p2ptk.errors import UserError
from p2ptk.generators.unet import UNet
from p2ptk.generators.unet_attention import SelfAttention, UNetAttention
from p2ptk.init import initialise
from p2ptk.schema import parameters, validate

RGB = {"source_channels": 3, "target_channels": 3}


def test_parameter_count() -> None:
    """The U-Net's, four 1x1 convolutions between 256 and 32 channels, and the scale."""
    with torch.device("meta"):
        network = UNetAttention(**RGB)
    assert isinstance(network, Generator)
    count = sum(p.numel() for p in network.parameters())
    assert count == 54_413_955 + 4 * 256 * 32 + 1


@pytest.mark.parametrize("upsample", ["transpose", "resize", "subpixel"])
def test_it_begins_as_the_unet(upsample: Any) -> None:
    options = {**RGB, "depth": 4, "width": 4, "dropout": 0.0, "upsample": upsample}
    plain, network = UNet(**options), UNetAttention(**options, attention=(2, 4))
    initialise(network)
    names = {name.replace(".up.conv", ".conv").replace(".up.norm", ".norm"): value
             for name, value in network.state_dict().items()}  # fmt: skip
    missing, unexpected = plain.load_state_dict(names, strict=False)
    assert missing == []
    assert all(".attention." in name for name in unexpected)
    x = torch.randn(2, 3, 32, 16)
    assert torch.equal(network(x), plain(x))


@settings(max_examples=20, deadline=None)
@given(
    depth=st.integers(2, 6),
    width=st.sampled_from([1, 4, 9]),
    norm=st.sampled_from(["batch", "instance", "none"]),
    upsample=st.sampled_from(["transpose", "resize", "subpixel"]),
    data=st.data(),
)
def test_attention_at_any_of_its_sizes_learns(
    depth: int, width: int, data: st.DataObject, **options: Any
) -> None:
    strides = [2**n for n in range(1, depth)]
    attention = tuple(data.draw(st.lists(st.sampled_from(strides), unique=True)))
    network = UNetAttention(**RGB, depth=depth, width=width, attention=attention, **options)
    blocks = [m for m in network.modules() if isinstance(m, SelfAttention)]
    assert len(blocks) == len(attention)
    for block in blocks:
        block.gamma.data.fill_(0.5)
    side = 2**depth
    fake = network(torch.randn(1, 3, side, 2 * side))
    assert fake.shape == (1, 3, side, 2 * side)
    fake.square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_self_attention_by_the_definition() -> None:
    torch.manual_seed(0)
    block = SelfAttention(16)
    block.gamma.data.fill_(0.7)
    x = torch.randn(2, 16, 3, 5)
    expected = torch.empty_like(x)
    for n in range(2):
        places = x[n].flatten(1)  # C HW
        q, k, v = (c.weight.flatten(1) @ places for c in (block.query, block.key, block.value))
        shares = torch.softmax((q.T @ k) / 2**0.5, dim=1)  # of every place, for each place
        expected[n] = (block.back.weight.flatten(1) @ (v @ shares.T)).view(16, 3, 5)
    torch.testing.assert_close(block(x), x + 0.7 * expected, atol=1e-5, rtol=1e-4)


def test_a_far_place_is_seen_at_once() -> None:
    def seen(gamma: float) -> Tensor:
        torch.manual_seed(0)
        block = SelfAttention(8)
        block.gamma.data.fill_(gamma)
        x = torch.randn(1, 8, 4, 32, requires_grad=True)
        (slope,) = torch.autograd.grad(block(x)[0, :, 0, 0].sum(), x)
        return slope[..., -1].abs().sum()

    assert seen(0.0) == 0
    assert seen(1.0) > 0


@pytest.mark.parametrize("stride", [1, 3, 16, 32])
def test_refuses_sizes_that_the_decoder_does_not_have(stride: int) -> None:
    with pytest.raises(UserError, match=rf"1/{stride} of the size .* \[2, 4, 8\]"):
        UNetAttention(**RGB, depth=4, width=2, attention=(stride,))


def test_its_signature_is_a_schema() -> None:
    fields = parameters(UNetAttention, ("source_channels", "target_channels"))
    assert validate(fields, {"attention": [8, 16]}, "unet-attention")["attention"] == (8, 16)
    with pytest.raises(UserError, match="attention"):
        validate(fields, {"attention": [0]}, "unet-attention")
