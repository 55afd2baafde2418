from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from p2ptk import Side, UserError
from p2ptk_kornia.color import Color


def changed(x: Tensor, *change: float, **params: Any) -> Tensor:
    """x under one change: brightness, contrast, saturation, hue, gamma."""
    made, _ = Color(**{"gamma": 0.5, **params}).apply(x, x, {"change": torch.tensor([change])})
    return made


def test_each_number_does_what_it_says(images: Tensor) -> None:
    x = images[:1] * 0.5
    torch.testing.assert_close(changed(x, 0, 0, 0, 0, 0), x, atol=1e-5, rtol=0)
    torch.testing.assert_close(changed(x, 0.1, 0, 0, 0, 0), x + 0.2, atol=1e-5, rtol=0)
    steeper = changed(x, 0, 0.5, 0, 0, 0)
    torch.testing.assert_close(steeper - x.mean(), (x - x.mean()) * 1.5, atol=1e-5, rtol=0)
    grey = changed(x, 0, 0, -1, 0, 0)
    torch.testing.assert_close(grey[:, 0], grey[:, 2], atol=1e-5, rtol=0)
    torch.testing.assert_close(grey.amax(1), x.amax(1), atol=1e-5, rtol=0)  # HSV keeps its value
    third = changed(x, 0, 0, 0, 1 / 3, 0)  # red becomes green, green blue
    torch.testing.assert_close(third, x.roll(1, 1), atol=1e-4, rtol=0)
    darker = changed(x, 0, 0, 0, 0, 1.0)
    torch.testing.assert_close((darker + 1) / 2, ((x + 1) / 2) ** 2, atol=1e-5, rtol=0)


@pytest.mark.parametrize("side", ["source", "target"])
def test_the_other_side_is_left_alone(side: Any, images: Tensor, rng: Any) -> None:
    augmentation = Color(side=side, p=0.5)
    params = augmentation.sample(range(4), (24, 32), rng)
    found = augmentation.apply(images, images, params)
    other = found[side == "source"]
    assert other is images
    moved = (found[side == "target"] - images).abs().amax((1, 2, 3)) > 1e-3
    assert moved.tolist() == params["change"].any(1).tolist()
    assert set(moved.tolist()) == {True, False}


def test_grey_and_other_channels(images: Tensor, rng: Any) -> None:
    augmentation = Color(saturation=0.5, hue=0.5)
    params = augmentation.sample(range(4), (24, 32), rng)
    grey, _ = augmentation.apply(images[:, :1], images, params)
    assert grey.shape == (4, 1, 24, 32)
    with pytest.raises(UserError, match=r"the source has 2: give saturation=0,hue=0\."):
        augmentation.apply(images[:, :2], images, params)
    plain = Color(saturation=0.0, hue=0.0)
    two, _ = plain.apply(images[:, :2], images, plain.sample(range(4), (24, 32), rng))
    assert two.shape == (4, 2, 24, 32)


def test_labels_have_no_colours() -> None:
    labels = Side("labels", classes=2)
    with pytest.raises(UserError, match="the source holds labels: leave it out"):
        Color().sides(labels, Side())
    Color(side="target").sides(labels, Side())


def test_gradients_are_finite_at_black_white_and_grey(rng: Any) -> None:
    x = torch.tensor([-1.0, 0.0, 1.0]).view(1, 1, 1, 3).repeat(1, 3, 2, 1).requires_grad_()
    augmentation = Color(gamma=0.5, hue=0.5)
    made, _ = augmentation.apply(x, x, augmentation.sample([0], (2, 3), rng))
    made.sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert math.isfinite(float(x.grad.abs().max()))
