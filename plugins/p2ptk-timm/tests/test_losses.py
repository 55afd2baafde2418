"""Losses on features: their values by hand, what they look at, and where gradients go."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from p2ptk import Translation, UserError, create

Make = Callable[..., Translation]


def loss(name: str, **params: Any) -> Any:
    spec = {"name": name, "model": "test_resnet", "pretrained": False, **params}
    made = create("loss", spec)
    return made.eval() if not getattr(made, "trainable", None) else made


def other(pictures: Tensor) -> Tensor:
    return pictures.flip(-1).roll(5, -2)


@pytest.mark.parametrize("distance", ["l1", "l2"])
@pytest.mark.parametrize("normalise", [True, False])
def test_perceptual_is_the_mean_distance_of_features(
    pictures: Tensor, translation: Make, distance: str, normalise: bool
) -> None:
    made = loss("perceptual", distance=distance, normalise=normalise)
    target, fake = pictures, other(pictures)
    levels = []
    for x, y in zip(made.looks(fake), made.looks(target), strict=True):
        if normalise:
            x, y = (f / (f.square().mean(1, keepdim=True) + 1e-6).sqrt() for f in (x, y))
        levels.append((x - y).abs().mean() if distance == "l1" else (x - y).square().mean())
    found = made.generator(translation(target, fake))
    torch.testing.assert_close(found, torch.stack(levels).mean())
    assert found > 1e-3
    assert made.generator(translation(target, target.clone())) == 0


def test_normalised_squares_are_cosines(pictures: Tensor, translation: Make) -> None:
    made = loss("perceptual", distance="l2", levels=[2])
    x, y = made.looks(other(pictures))[0], made.looks(pictures)[0]
    cosine = torch.nn.functional.cosine_similarity(x, y, dim=1)
    found = made.generator(translation(pictures, other(pictures)))
    torch.testing.assert_close(found, (2 - 2 * cosine).mean(), rtol=1e-3, atol=1e-4)


def test_pretrained_features_find_a_blur_worse_than_a_shift_of_brightness(
    lite: str, pictures: Tensor, translation: Make
) -> None:
    made = loss("perceptual", model="tf_efficientnet_lite0", weights=lite, levels=[2, 3])
    blurred = torch.nn.functional.avg_pool2d(pictures, 5, 1, padding=2, count_include_pad=False)
    brighter = pictures + (blurred - pictures).abs().mean()
    values = [float(made.generator(translation(pictures, x))) for x in (blurred, brighter)]
    assert values[0] > 1.5 * values[1]


@pytest.mark.parametrize("name", ["perceptual", "contrastive-features"])
def test_gradients_reach_the_fake_alone(name: str, pictures: Tensor, translation: Make) -> None:
    made = loss(name)
    fake, target = other(pictures).requires_grad_(), pictures.clone().requires_grad_()
    made.generator(translation(target, fake)).backward()
    assert fake.grad is not None
    assert fake.grad.abs().max() > 0
    assert target.grad is None
    assert not any(p.requires_grad for p in made.parameters())


@pytest.mark.parametrize("name", ["perceptual", "contrastive-features"])
def test_channels(name: str, pictures: Tensor, translation: Make) -> None:
    grey, four = pictures[:, :1], torch.cat([pictures, pictures[:, :1]], dim=1)

    def value(target: Tensor, **params: Any) -> float:
        return float(loss(name, **params).generator(translation(target, other(target))))

    assert value(grey) == pytest.approx(value(grey.expand(-1, 3, -1, -1)))
    assert value(four, colours=[0, 1, 2]) == pytest.approx(value(pictures))
    assert value(four, colours=[3]) == pytest.approx(value(grey))
    with pytest.raises(UserError, match=r"have 4 channels: say .* colours=\[0, 1, 2\]"):
        value(four)
    with pytest.raises(UserError, match=r"have 2 channels: say .* colours=\[0\]"):
        value(four[:, :2])
    with pytest.raises(UserError, match="count from 0 to 2"):
        value(pictures, colours=[1, 2, 3])
    with pytest.raises(UserError, match="one channel or three"):
        loss(name, colours=[0, 1])


def test_random_filters_are_the_same_in_every_run(pictures: Tensor, translation: Make) -> None:
    values = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        made = loss("perceptual")
        assert torch.equal(torch.get_rng_state(), state)
        values.append(float(made.generator(translation(pictures, other(pictures)))))
    assert values[0] == values[1]


def test_contrast_by_hand(pictures: Tensor, translation: Make) -> None:
    made = loss("contrastive-features", levels=[3], temperature=0.5)  # 4x6 places: all of them
    target, fake = pictures, other(pictures)
    query, key = (made.looks(x)[0].flatten(2) for x in (fake, target))
    expected = []
    for n in range(len(target)):
        q = query[n] / query[n].norm(dim=0)
        k = key[n] / key[n].norm(dim=0)
        likeness = (q.T @ k / 0.5).exp()
        expected.append(-(likeness.diagonal() / likeness.sum(1)).log().mean())
    found = made.generator(translation(target, fake))
    torch.testing.assert_close(found, torch.stack(expected).mean(), rtol=1e-4, atol=1e-5)


def test_a_patch_is_told_from_others(lite: str, pictures: Tensor, translation: Make) -> None:
    made = loss(
        "contrastive-features", model="tf_efficientnet_lite0", weights=lite, levels=[1], patches=64
    )
    right = float(made.generator(translation(pictures, pictures.clone())))
    wrong = float(made.generator(translation(pictures, other(pictures))))
    assert right < 0.7 * math.log(64) < math.log(64) < wrong


def test_places_are_drawn_from_the_steps_own_numbers(pictures: Tensor, translation: Make) -> None:
    made = loss("contrastive-features", levels=[0], patches=16)
    fake = other(pictures)
    values = [float(made.generator(translation(pictures, fake, seed=seed))) for seed in (1, 1, 2)]
    assert values[0] == values[1] != values[2]


def test_projections_train_with_the_generator(pictures: Tensor, translation: Make) -> None:
    made = loss("contrastive-features", project=8, levels=[1, 2], patches=16)
    assert made.trainable == "generator"
    named = {name for name, p in made.train().named_parameters() if p.requires_grad}
    assert named == {
        f"projections.{i}.{j}.{k}" for i in "01" for j in "02" for k in ("weight", "bias")
    }
    assert not made.looks.backbone.training  # although the loss trains
    made.generator(translation(pictures, other(pictures))).backward()
    assert all(p.grad is not None for name, p in made.named_parameters() if name in named)
