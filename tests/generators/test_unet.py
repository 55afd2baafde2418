from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import p2ptk.components
from p2ptk.errors import UserError
from p2ptk.generators.unet import UNet
from p2ptk.schema import parameters, validate
from p2ptk.specs import Spec

RGB = {"source_channels": 3, "target_channels": 3}


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("bias", "expected"),
    [("port", 54_413_955), ("no-norm", 54_414_531), ("all", 54_419_459), ("none", 54_413_952)],
)
def test_parameter_count_of_the_256_pixel_reference(bias: Any, expected: int) -> None:
    with torch.device("meta"):
        assert count(UNet(**RGB, bias=bias)) == expected


def test_under_instance_norm_the_port_rule_gives_every_convolution_a_bias() -> None:
    network = UNet(**RGB, depth=5, width=2, norm="instance")
    convolutions = [m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))]
    assert len(convolutions) == 10
    assert all(m.bias is not None for m in convolutions)


@pytest.mark.parametrize(
    ("depth", "at", "expected"),
    [
        (8, "port", {1, 2, 3}),
        (8, "paper", {0, 1, 2}),
        (7, "port", {1, 2}),
        (5, "port", set()),
        (2, "port", set()),
        (2, "paper", {0}),
    ],
)
def test_which_ups_have_dropout(depth: int, at: Any, expected: set[int]) -> None:
    network = UNet(**RGB, depth=depth, width=1, dropout_at=at)
    found = {i for i, up in enumerate(network.up) if isinstance(up.dropout, nn.Dropout)}
    assert found == expected


def test_no_dropout_leaves_no_randomness() -> None:
    network = UNet(**RGB, depth=6, width=2, dropout=0.0)
    x = torch.randn(2, 3, 64, 64)
    assert torch.equal(network(x), network(x))


def nested(state: dict[str, Tensor], x: Tensor, level: int, depth: int) -> Tensor:
    """A U-Net with instance norm as the paper tells it: down, the same inside, up, beside x."""

    def weights(layer: str) -> dict[str, Tensor]:
        return {k: state[f"{layer}.{k}"] for k in ("weight", "bias")}

    down = weights(f"encoder.down.{level}.conv")
    h = F.conv2d(x if level == 0 else F.leaky_relu(x, 0.2), **down, stride=2, padding=1)
    if 0 < level < depth - 1:
        h = F.instance_norm(h)
    if level < depth - 1:
        h = nested(state, h, level + 1, depth)
    up = weights(f"up.{depth - 1 - level}.conv")
    h = F.conv_transpose2d(F.relu(h), **up, stride=2, padding=1)
    return torch.tanh(h) if level == 0 else torch.cat([x, F.instance_norm(h)], dim=1)


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_equals_the_nested_definition(depth: int) -> None:
    torch.manual_seed(0)
    network = UNet(**RGB, depth=depth, width=3, norm="instance", dropout=0.0)
    x = torch.randn(2, 3, 2**depth, 2 ** (depth + 1))
    expected = nested(dict(network.state_dict()), x, 0, depth)
    torch.testing.assert_close(network(x), expected, atol=1e-5, rtol=1e-5)


@settings(max_examples=25, deadline=None)
@given(
    depth=st.integers(2, 6),
    times=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    channels=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    norm=st.sampled_from(["batch", "instance", "none"]),
    upsample=st.sampled_from(["transpose", "resize", "subpixel"]),
    dropout_at=st.sampled_from(["port", "paper"]),
)
def test_any_combination_trains_on_one_image_of_any_multiple(
    depth: int, times: tuple[int, int], channels: tuple[int, int], **options: Any
) -> None:
    source, target = channels
    network = UNet(
        source_channels=source, target_channels=target, depth=depth, width=2, **options
    ).train()
    assert network.size_multiple == 2**depth
    height, width = (network.size_multiple * n for n in times)
    fake = network(torch.randn(1, source, height, width))
    assert fake.shape == (1, target, height, width)
    assert fake.abs().max() <= 1
    fake.square().sum().backward()
    gradients = [p.grad for p in network.parameters()]
    assert all(g is not None and g.isfinite().all() for g in gradients)


def test_linear_output_is_not_bounded() -> None:
    torch.manual_seed(0)
    network = UNet(**RGB, depth=2, width=2, output="linear")
    nn.init.constant_(network.up[-1].conv.bias, 7.0)
    assert network(torch.randn(1, 3, 8, 8)).mean() > 3


class Pyramid(nn.Module):
    """An encoder with any strides: average pooling and a 1x1 convolution."""

    def __init__(self, source_channels: int, strides: list[int], channels: list[int]) -> None:
        super().__init__()
        self.strides, self.channels = strides, channels
        self.mix = nn.ModuleList(nn.Conv2d(source_channels, c, 1) for c in channels)

    def forward(self, source: Tensor) -> list[Tensor]:
        pairs = zip(self.mix, self.strides, strict=True)
        return [mix(F.avg_pool2d(source, stride)) for mix, stride in pairs]


@pytest.fixture
def pyramid(monkeypatch: pytest.MonkeyPatch) -> None:
    """`create` makes a Pyramid of the spec's parameters."""

    def create(kind: str, spec: Spec, *, source_channels: int) -> nn.Module:
        assert kind == "encoder"
        return Pyramid(source_channels, spec.params["strides"], spec.params["channels"])

    monkeypatch.setattr(p2ptk.components, "create", create)


@pytest.mark.usefixtures("pyramid")
@pytest.mark.parametrize(
    ("strides", "ups"),
    [
        ([2, 4, 8], 3),
        ([4, 8, 16, 32], 5),  # as a transformer's: ends two ups below full size
        ([1, 2, 4], 2),  # keeps the full size
        ([2, 16], 4),  # jumps
        ([1, 8], 3),
        ([8, 8, 8], 3),  # one size only
        ([2], 1),
    ],
)
@pytest.mark.parametrize("upsample", ["transpose", "resize"])
def test_decodes_an_encoder_of_any_strides(strides: list[int], ups: int, upsample: Any) -> None:
    spec = Spec("pyramid", {"strides": strides, "channels": [5 + i for i in range(len(strides))]})
    network = UNet(source_channels=2, target_channels=3, width=4, encoder=spec, upsample=upsample)
    assert network.size_multiple == max(strides)
    assert len(network.up) == ups
    fake = network(torch.randn(2, 2, 64, 32))
    assert fake.shape == (2, 3, 64, 32)
    fake.square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.usefixtures("pyramid")
def test_another_encoder_leaves_the_decoder_its_widths() -> None:
    spec = Spec("pyramid", {"strides": [2, 4, 8, 16, 32], "channels": [7, 7, 7, 7, 7]})
    own = UNet(**RGB, depth=5, width=4)
    other = UNet(**RGB, width=4, encoder=spec)
    assert [up.conv.out_channels for up in own.up] == [up.conv.out_channels for up in other.up]
    assert [up.conv.in_channels for up in other.up] == [7, 32 + 7, 16 + 7, 8 + 7, 4 + 7]


@pytest.mark.usefixtures("pyramid")
@pytest.mark.parametrize("strides", [[3, 6], [8, 4], [1], [0, 2], []])
def test_refuses_strides_it_cannot_decode(strides: list[int]) -> None:
    spec = Spec("pyramid", {"strides": strides, "channels": [4] * len(strides)})
    with pytest.raises(UserError, match="Pyramid has features at strides"):
        UNet(**RGB, encoder=spec)


def test_leaves_the_features_of_a_foreign_encoder_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Sigmoids(Pyramid):  # saves its outputs for its own backward
        def forward(self, source: Tensor) -> list[Tensor]:
            self.given = [torch.sigmoid(x) - 0.5 for x in super().forward(source)]
            self.copies = [x.detach().clone() for x in self.given]
            return self.given

    encoder = Sigmoids(3, [2, 4, 8], [4, 4, 4])
    monkeypatch.setattr(p2ptk.components, "create", lambda kind, spec, **supplied: encoder)
    network = UNet(**RGB, width=4, encoder=Spec("sigmoids"))
    network(torch.randn(1, 3, 16, 16)).sum().backward()
    for given_, copy in zip(encoder.given, encoder.copies, strict=True):
        assert torch.equal(given_, copy)


def test_its_signature_is_a_schema() -> None:
    fields = parameters(UNet, ("source_channels", "target_channels"))
    params = validate(fields, {"width": 32, "encoder": "conv:depth=4", "dropout": 0}, "unet")
    assert params["encoder"] == Spec("conv", {"depth": 4})
    assert validate(fields, {"encoder": "none", "norm": "none"}, "unet")["encoder"] is None
    for wrong in ({"depth": 1}, {"norm": "layer"}, {"dropout": 1.0}, {"width": 0}):
        with pytest.raises(UserError, match=next(iter(wrong))):
            validate(fields, wrong, "unet")


def test_keys_read_well() -> None:
    keys = set(UNet(**RGB, depth=3, width=1).state_dict())
    assert {"encoder.down.0.conv.weight", "up.1.norm.bias", "up.2.conv.bias"} <= keys
