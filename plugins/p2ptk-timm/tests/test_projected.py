"""The projected discriminator: what of it trains, what it sees, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from p2ptk import UserError, create
from p2ptk_timm.frozen import FrozenNorm
from p2ptk_timm.projected import Projected


def judge(source: int = 3, target: int = 3, **params: Any) -> Projected:
    torch.manual_seed(0)
    spec = {"name": "projected", "model": "test_resnet", "pretrained": False, "width": 4, **params}
    made: Projected = create("discriminator", spec, source_channels=source, target_channels=target)
    return made


def test_the_heads_train_and_nothing_else_does() -> None:
    made = judge().train()
    trained = {name.partition(".")[0] for name, p in made.named_parameters() if p.requires_grad}
    assert trained == {"heads"}
    assert not any(p.requires_grad for p in made.projections.parameters())
    before = {name: x.clone() for name, x in made.projections.state_dict().items()}
    made(*torch.rand(2, 2, 3, 64, 96)).logits[0].mean().backward()
    assert all(torch.equal(x, before[n]) for n, x in made.projections.state_dict().items())
    assert not made.projections["image"].backbone.training
    # p2ptk's initialisation leaves alone what says so.
    assert all(projection.keep_init for projection in made.projections.values())


def test_every_scale_has_the_coarsest_stride() -> None:
    found = judge()(*torch.rand(2, 2, 3, 128, 192) * 2 - 1)
    assert [x.shape for x in found.logits] == [(2, 1, 4, 6)] * 4  # strides 4, 8, 16, 32
    assert [len(scale) for scale in found.features] == [4, 3, 2, 1]
    assert [scale[0].shape[1:] for scale in found.features] == [
        (4, 32, 48),
        (8, 16, 24),
        (16, 8, 12),
        (32, 4, 6),
    ]


def test_one_model_looks_at_both_where_channels_agree() -> None:
    assert set(judge(3, 3).projections) == {"image"}
    assert set(judge(1, 3).projections) == {"image", "source"}
    assert set(judge(1, 3, conditional=False).projections) == {"image"}
    with torch.no_grad():
        judge(1, 3)(torch.rand(1, 1, 64, 64), torch.rand(1, 3, 64, 64))


def test_the_source_matters_at_every_scale_and_not_by_itself() -> None:
    """Each head mixes both before it judges: else what it says of one would only be added."""
    made = judge(norm="none").eval()
    a, b, c, d = torch.randn(4, 1, 3, 1, 1) + 0.3 * torch.randn(4, 1, 3, 64, 64)
    with torch.no_grad():
        mixed = [made(s, x).logits for s, x in ((a, c), (a, d), (b, c), (b, d))]
    for ac, ad, bc, bd in zip(*mixed, strict=True):
        assert (ac - bc).abs().max() > 1e-3
        assert (ac - ad - bc + bd).abs().max() > 1e-5  # of a sum, rounding would be left


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"levels": [0]}, 19),
        ({"levels": [0, 1]}, 63),
        ({"model": "vgg11", "levels": [0, 1, 2]}, 66),
        ({"model": "test_vit"}, None),  # attends to the whole image
    ],
)
def test_receptive_fields(params: dict[str, Any], field: int | None) -> None:
    assert judge(**params).receptive_field == field


def test_a_traced_field_is_what_gradients_reach() -> None:
    made = judge(levels=[1, 2], norm="none").double().eval()
    for norm in made.modules():
        if isinstance(norm, FrozenNorm):
            norm.weight.fill_(1.0)  # some begin at 0, which no gradient passes
    field = made.receptive_field
    assert field is not None
    stride = 8
    image = (torch.rand(1, 3, 32, 512, dtype=torch.double) * 2 - 1).requires_grad_()
    source = torch.zeros_like(image)
    reached = torch.zeros(512, dtype=torch.bool)
    for x in made(source, image).logits:
        (slope,) = torch.autograd.grad(x[..., 32].sum(), image, retain_graph=True)
        reached |= slope.abs().sum((0, 1, 2)) > 0
    places = reached.nonzero()
    assert abs(int(places.max() - places.min()) + 1 - field) < stride


def test_what_is_too_small() -> None:
    with pytest.raises(UserError, match="at least 64 pixels a side, or name only its finer levels"):
        judge()(*torch.rand(2, 1, 3, 32, 64))
    judge(levels=[0, 1, 2])(*torch.rand(2, 1, 3, 32, 64))


def test_batch_norm_is_in_the_heads_alone() -> None:
    made = judge()
    assert not [
        n for n, m in made.named_modules() if isinstance(m, nn.BatchNorm2d) and "heads" not in n
    ]
    assert not [m for m in judge(norm="none").modules() if isinstance(m, nn.BatchNorm2d)]
