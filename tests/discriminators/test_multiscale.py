from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from p2ptk.contracts import Discriminator
from p2ptk.discriminators.multiscale import Multiscale
from p2ptk.discriminators.patchgan import PatchGAN
from p2ptk.errors import UserError
from p2ptk.spectral import SpectralConv2d

RGB = {"source_channels": 3, "target_channels": 3}


@pytest.mark.parametrize("scales", [1, 2, 3])
def test_parameter_counts_are_those_of_so_many_patchgans(scales: int) -> None:
    with torch.device("meta"):
        network = Multiscale(**RGB, scales=scales)
    assert isinstance(network, Discriminator)
    # Under instance norm every convolution has a bias and no norm has weights.
    assert sum(p.numel() for p in network.parameters()) == scales * 2_767_809


@pytest.mark.parametrize(("scales", "expected"), [(1, 34), (2, 69), (3, 139)])
def test_one_logit_sees_at_most_the_declared_receptive_field(scales: int, expected: int) -> None:
    network = Multiscale(
        source_channels=1, target_channels=1, scales=scales, layers=2, width=1, norm="none"
    )
    assert network.receptive_field == expected
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.1)
    image = torch.zeros(1, 1, 64, 3 * expected, requires_grad=True)
    logits = network(torch.zeros_like(image), image).logits[-1]
    logits[0, 0, 0, logits.shape[-1] // 2].backward()
    assert image.grad is not None
    seen = image.grad[0, 0].abs().sum(0).nonzero()[:, 0]
    assert len(seen) == expected


def test_each_scale_judges_the_pair_at_half_the_size_of_the_last() -> None:
    torch.manual_seed(0)
    network = Multiscale(**RGB, scales=3, layers=1, width=4)
    source, image = torch.randn(2, 2, 3, 33, 47).unbind()
    judgement = network(source, image)
    assert len(judgement.logits) == len(judgement.features) == 3
    for judge, logits, features in zip(
        network.scales, judgement.logits, judgement.features, strict=True
    ):
        alone = judge(source, image)
        torch.testing.assert_close(logits, alone.logits[0])
        assert [x.shape for x in features] == [x.shape for x in alone.features[0]]
        ones = torch.ones_like(source[:, :1])
        mean = [F.avg_pool2d(x, 3, 2, 1, count_include_pad=True) for x in (source, image, ones)]
        source, image = mean[0] / mean[2], mean[1] / mean[2]
    assert [x.shape[-2:] for x in judgement.logits] == [(14, 21), (6, 10), (2, 4)]


def test_one_scale_is_a_patchgan() -> None:
    torch.manual_seed(0)
    network = Multiscale(**RGB, scales=1, layers=2, width=4, conditional=False)
    single = PatchGAN(**RGB, layers=2, width=4, norm="instance", conditional=False)
    single.load_state_dict(
        {k.removeprefix("scales.0."): v for k, v in network.state_dict().items()}
    )
    x = torch.randn(1, 3, 32, 32)
    assert torch.equal(network(x, x).logits[0], single(x, x).logits[0])


@pytest.mark.parametrize(("scales", "layers"), [(1, 1), (2, 2), (3, 1), (2, 0)])
def test_the_smallest_image_trains_and_a_smaller_one_is_refused(scales: int, layers: int) -> None:
    network = Multiscale(
        source_channels=1, target_channels=1, scales=scales, layers=layers, width=2
    )
    smallest = network.smallest
    x = torch.randn(1, 1, smallest, 64)
    logits = network(x, x).logits
    assert logits[-1].shape[-2] == 1
    sum(x.sum() for x in logits).backward()
    if smallest > 1:
        with pytest.raises(UserError, match=f"at least {smallest} pixels a side"):
            network(x[:, :, 1:], x[:, :, 1:])


def test_spectral_norm_is_on_every_convolution() -> None:
    network = Multiscale(**RGB, scales=2, layers=1, width=4, spectral=True)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 6
    assert all(isinstance(m, SpectralConv2d) for m in convolutions)
