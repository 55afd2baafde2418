from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from p2ptk.contracts import Encoder
from p2ptk.encoders.conv import ConvEncoder


@settings(max_examples=20, deadline=None)
@given(
    depth=st.integers(1, 6),
    width=st.integers(1, 4),
    norm=st.sampled_from(["batch", "instance", "none"]),
)
def test_features_have_the_declared_channels_and_strides(depth: int, width: int, norm: str) -> None:
    encoder = ConvEncoder(source_channels=2, depth=depth, width=width, norm=norm)  # type: ignore[arg-type]
    assert isinstance(encoder, Encoder)
    height, wide = 2**depth, 2 ** (depth + 1)
    features = encoder(torch.randn(1, 2, height, wide))
    assert len(features) == len(encoder.channels) == len(encoder.strides) == depth
    for feature, channels, stride in zip(features, encoder.channels, encoder.strides, strict=True):
        assert feature.shape == (1, channels, height // stride, wide // stride)


def test_the_channels_of_the_paper() -> None:
    with torch.device("meta"):
        encoder = ConvEncoder(source_channels=3)
    assert encoder.channels == (64, 128, 256, 512, 512, 512, 512, 512)
    assert encoder.strides == (2, 4, 8, 16, 32, 64, 128, 256)


def test_neither_the_first_layer_nor_the_bottleneck_has_a_norm() -> None:
    encoder = ConvEncoder(source_channels=3, depth=5, width=1)
    normed = [isinstance(down.norm, nn.BatchNorm2d) for down in encoder.down]
    assert normed == [False, True, True, True, False]


@pytest.mark.parametrize(
    ("norm", "bias", "expected"),
    [
        ("batch", "port", [0, 0, 0, 0]),
        ("instance", "port", [1, 1, 1, 1]),
        ("batch", "no-norm", [1, 0, 0, 1]),
        ("none", "no-norm", [1, 1, 1, 1]),
        ("batch", "all", [1, 1, 1, 1]),
        ("instance", "none", [0, 0, 0, 0]),
    ],
)
def test_biases(norm: str, bias: str, expected: list[int]) -> None:
    encoder = ConvEncoder(source_channels=1, depth=4, width=1, norm=norm, bias=bias)  # type: ignore[arg-type]
    assert [int(down.conv.bias is not None) for down in encoder.down] == expected
