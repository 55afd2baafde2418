"""Dropout's masks as arithmetic on a seed: uniform, and each its own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from p2ptk.errors import UserError
from p2ptk.export.noise import seeded, uniform
from p2ptk.inference import apply_rule


def drawn(seed: int, layer: int = 0, count: int = 50_000) -> torch.Tensor:
    return uniform(count, torch.tensor([seed]), layer)


@pytest.mark.parametrize("seed", [0, 1, 12345, 2**31 - 2])
def test_the_numbers_are_uniform_and_neighbours_independent(seed: int) -> None:
    x = drawn(seed).double()
    assert float(x.min()) >= 0
    assert float(x.max()) < 1
    shares = torch.histc(x.float(), 10, 0, 1) / len(x)
    assert torch.allclose(shares, torch.full((10,), 0.1), atol=0.008)
    for apart in (1, 2, 16, 256):
        pair = torch.stack([x[:-apart], x[apart:]])
        assert abs(float(torch.corrcoef(pair)[0, 1])) < 0.025


def test_seeds_and_layers_differ() -> None:
    first = drawn(3)
    assert torch.equal(first, drawn(3))
    for other in (drawn(4), drawn(3, layer=1)):
        pair = torch.stack([first, other])
        assert abs(float(torch.corrcoef(pair)[0, 1])) < 0.02


def test_golden_numbers() -> None:
    """Files that were exported keep their noise."""
    assert [round(float(x), 6) for x in drawn(7, count=4)] == GOLDEN


GOLDEN = [0.486437, 0.948889, 0.652424, 0.443252]


def test_a_generator_drops_the_share_that_it_should() -> None:
    net = apply_rule(nn.Sequential(nn.Dropout(0.25), nn.Dropout2d(0.5)), "running", dropout=True)
    twin, seed = seeded(net)
    seed.value = torch.tensor([5])
    x = torch.ones(2, 64, 32, 32)
    once = twin[0](x)
    assert torch.equal(once[0], once[1])
    assert float((once == 0).float().mean()) == pytest.approx(0.25, abs=0.01)
    assert float(once.mean()) == pytest.approx(1, abs=0.02)
    whole = twin[1](x)
    assert torch.equal(whole, whole[..., :1, :1].expand_as(whole))


def test_dropout_without_a_form_is_refused() -> None:
    net = apply_rule(nn.Sequential(nn.AlphaDropout(0.5)), "running", dropout=True)
    with pytest.raises(UserError, match="AlphaDropout can't be exported as noise"):
        seeded(net)
