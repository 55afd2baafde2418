from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from p2ptk import Side, UserError
from p2ptk_kornia.diffaugment import DiffAugment

SIZE = (24, 32)


def test_nothing_moves_where_nothing_is_drawn(images: Tensor) -> None:
    still = {
        "color": torch.tensor([[0.0, 1.0, 1.0]]).expand(4, 3),
        "shift": torch.zeros(4, 2, dtype=torch.int64),
        "hole": torch.zeros(4, 4, dtype=torch.int64),
    }
    source, target = DiffAugment().apply(images, images, still)
    assert torch.equal(source, images)
    torch.testing.assert_close(target, images, atol=1e-6, rtol=0)


def test_shifts_are_whole_pixels_of_both_sides_with_zeros_behind(places: Tensor, rng: Any) -> None:
    augmentation = DiffAugment(policy=("translation",), shift=0.25)
    params = augmentation.sample(range(64), SIZE, rng)
    shift = params["shift"]
    assert shift.abs().amax(0).tolist() == [6, 8]
    x = places.expand(64, -1, -1, -1)
    source, target = augmentation.apply(x, x, params)
    assert torch.equal(source, target)
    for i in (0, 17, 40):
        down, right = shift[i].tolist()
        expected = torch.nn.functional.pad(places[0], (8, 8, 6, 6))
        expected = expected.roll((down, right), (1, 2))[:, 6:-6, 8:-8]
        assert torch.equal(source[i], expected)


def test_the_hole_is_a_square_at_the_same_place_of_both(rng: Any) -> None:
    augmentation = DiffAugment(policy=("cutout",), hole=0.5)
    x = torch.ones(400, 1, *SIZE)
    params = augmentation.sample(range(400), SIZE, rng)
    source, target = augmentation.apply(x, -x, params)
    assert torch.equal(source == 0, target == 0)
    holes = (source == 0).flatten(1).sum(1)
    assert holes.max() == 12 * 16
    assert holes.min() >= 6 * 8
    often = (source == 0).float().mean(0)
    assert (often.min() > 0.02, often.max() < 0.35) == (
        True,
        True,
    )  # corners least, the middle most
    inside = (source == 0)[0, 0].nonzero()
    top, left = inside.amin(0).tolist()
    bottom, right = (inside.amax(0) + 1).tolist()
    assert (source[0, 0, top:bottom, left:right] == 0).all()
    assert (bottom - top) * (right - left) == holes[0]


def test_colours_are_those_of_the_paper_and_of_the_image_alone(images: Tensor, rng: Any) -> None:
    augmentation = DiffAugment(policy=("color",))
    params = augmentation.sample(range(4), SIZE, rng)
    source, target = augmentation.apply(images, images, params)
    assert source is images
    for i, (brightness, saturation, contrast) in enumerate(params["color"]):
        x = images[i] + brightness
        grey = x.mean(0, keepdim=True)
        x = (x - grey) * saturation + grey
        x = (x - x.mean()) * contrast + x.mean()
        torch.testing.assert_close(target[i], x, atol=1e-5, rtol=1e-5)
    many = augmentation.sample(range(500), SIZE, rng)["color"]
    low, high = many.aminmax(dim=0)
    assert low.tolist() == pytest.approx([-0.5, 0, 0.5], abs=0.03)
    assert high.tolist() == pytest.approx([0.5, 2, 1.5], abs=0.03)
    augmentation.sides(Side(), Side("labels", classes=3))
    assert augmentation.apply(images, images, params)[1] is images


def test_gradients_reach_both_sides(images: Tensor, rng: Any) -> None:
    source, target = images.clone().requires_grad_(), images.clone().requires_grad_()
    augmentation = DiffAugment()
    seen = augmentation.apply(source, target, augmentation.sample(range(4), SIZE, rng))
    sum(x.square().sum() for x in seen).backward()  # type: ignore[union-attr]
    for x in (source, target):
        assert x.grad is not None
        assert x.grad.isfinite().all()
        assert (x.grad != 0).float().mean() > 0.2


def test_an_empty_policy_is_refused() -> None:
    with pytest.raises(UserError, match="should name color, translation or cutout"):
        DiffAugment(policy=())
