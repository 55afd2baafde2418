from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from p2ptk.components import create
from p2ptk.contracts import Judgement
from p2ptk.losses.feature_matching import FeatureMatchingLoss
from p2ptk.step import Term

Make = Callable[..., Any]


def told(features: Callable[[Tensor], Any]) -> Callable[[Tensor, Tensor], Judgement]:
    return lambda source, image: Judgement((), features(image))


def test_value_by_hand(translation: Make) -> None:
    """Mean of a map, then of a scale's layers, then of scales, whatever the maps' sizes."""
    fake, target = torch.ones(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)

    def features(x: Tensor) -> Any:
        return (x * 1, x[..., :2] * 3), (x[..., :1, :1] * 10,)

    t = translation(told(features), target, fake, "G")
    assert FeatureMatchingLoss().generator(t).item() == pytest.approx(((1 + 3) / 2 + 10) / 2)


def test_equal_pictures_match_and_only_the_fake_is_moved(translation: Make) -> None:
    torch.manual_seed(0)
    judge = create("discriminator", "multiscale:scales=2,layers=1,width=4", source_channels=3,
                   target_channels=3)  # fmt: skip
    target = torch.randn(1, 3, 32, 32)
    assert FeatureMatchingLoss().generator(translation(judge, target, target, "G")).item() == 0
    fake = torch.randn(1, 3, 32, 32, requires_grad=True)
    t = translation(judge, target, fake, "G")
    loss = FeatureMatchingLoss().generator(t)
    (slope,) = torch.autograd.grad(loss, fake)
    assert slope.abs().sum() > 0
    assert not any(x.requires_grad for scale in t.judged_real.features for x in scale)


def test_half_precision_features_are_compared_in_float32(translation: Make) -> None:
    torch.manual_seed(0)
    fake, target = torch.randn(2, 1, 3, 64, 64).to(torch.bfloat16)
    low = translation(told(lambda x: ((x,),)), target, fake, "G")
    full = translation(told(lambda x: ((x.float(),),)), target, fake, "G")
    value = FeatureMatchingLoss().generator(low)
    assert value.dtype == torch.float32
    assert torch.equal(value, FeatureMatchingLoss().generator(full))


def test_it_needs_a_discriminator_though_it_does_not_train_it() -> None:
    assert Term("match", FeatureMatchingLoss()).adversarial
    assert not hasattr(FeatureMatchingLoss, "discriminator")
