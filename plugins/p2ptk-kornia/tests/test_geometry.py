"""Both sides go the same way, to the place that the parameters say."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from p2ptk import Side, UserError
from p2ptk_kornia.elastic import Elastic
from p2ptk_kornia.geometry import Affine, Perspective, affine_matrix, warp

LABELS = Side("labels", classes=3)
STILL = [
    Affine(degrees=0.0, translate=0.0, scale=(1.0, 1.0), shear=0.0),
    Affine(p=0.0),
    Perspective(distortion=0.0),
    Perspective(p=0.0),
    Elastic(amount=0.0),
    Elastic(p=0.0),
]
MOVING = [
    Affine(degrees=40.0, translate=0.2, scale=(0.7, 1.3), shear=20.0),
    Perspective(distortion=0.2),
    Elastic(amount=0.03),
]


def name(augmentation: Any) -> str:
    return type(augmentation).__name__


@pytest.mark.parametrize("augmentation", STILL, ids=name)
def test_parameters_of_nothing_change_nothing(augmentation: Any, images: Tensor, rng: Any) -> None:
    params = augmentation.sample(range(4), (24, 32), rng)
    for x in augmentation.apply(images, images.flip(0), params):
        assert x.shape == images.shape
    torch.testing.assert_close(augmentation.geometry(images, params), images, atol=2e-5, rtol=0)
    assert torch.equal(augmentation.geometry(images, params, True), images)


@pytest.mark.parametrize("augmentation", MOVING, ids=name)
def test_the_coordinates_of_both_sides_agree(augmentation: Any, places: Tensor, rng: Any) -> None:
    """A picture of its own coordinates tells where each pixel was taken from."""
    params = augmentation.sample([3], (24, 32), rng)
    source, target = augmentation.apply(places, places[:, :2], params)
    assert torch.equal(source[:, :2], target)
    torch.testing.assert_close(source[:, 2], torch.ones(1, 24, 32))  # nothing comes from nowhere
    assert (source - places).abs().max() > 0.1
    # The nearest neighbour of the same place, where it is not on the border.
    near = augmentation.geometry(places, params, True)
    inside = (source[:, :2].abs() < 0.9).all(1)
    pixel = torch.tensor([2 / 31, 2 / 23]).view(1, 2, 1, 1)
    away = ((near - source)[:, :2] / pixel).abs().amax(1)
    assert away[inside].max() <= 0.51


@pytest.mark.parametrize("augmentation", MOVING, ids=name)
def test_label_maps_stay_one_hot(augmentation: Any, images: Tensor, rng: Any) -> None:
    classes = images.argmax(1)
    labels = torch.nn.functional.one_hot(classes, 3).permute(0, 3, 1, 2).float()
    params = augmentation.sample(range(4), (24, 32), rng)
    augmentation.sides(LABELS, Side())
    source, target = augmentation.apply(labels, images, params)
    assert set(source.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(source.sum(1), torch.ones(4, 24, 32))
    assert len(target.unique()) > len(images.unique()) // 2
    augmentation.sides(Side(), LABELS)
    _, target = augmentation.apply(images, labels, params)
    assert torch.equal(target, source)
    augmentation.sides(Side(), Side())


@pytest.mark.parametrize("size", [(20, 20), (20, 30), (7, 40)])
def test_a_quarter_turn_of_the_picture(size: tuple[int, int]) -> None:
    """rot90, and for pictures that are not square its middle."""
    x = torch.rand(1, 2, *size)
    zero, one = torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64)
    quarter = torch.tensor(math.pi / 2, dtype=torch.float64)
    matrix = affine_matrix(size, turn=quarter, shift=(zero, zero), scale=one, slant=zero)
    turned = warp(x, matrix[None].float(), False, "zeros")
    square = torch.rot90(x, 1, (3, 2))  # x to y: clockwise, since y points down
    height, width = size
    if height == width:
        torch.testing.assert_close(turned, square, atol=1e-5, rtol=0)
    middle = turned[..., height // 2, width // 2]
    ys, xs = (height - 1) / 2, (width - 1) / 2
    dy, dx = height // 2 - ys, width // 2 - xs
    place = torch.tensor([[[[2 * (xs + dy) / (width - 1) - 1, 2 * (ys - dx) / (height - 1) - 1]]]])
    expected = torch.nn.functional.grid_sample(x, place, align_corners=True)[..., 0, 0]
    torch.testing.assert_close(middle, expected, atol=1e-5, rtol=0)


def test_shifts_and_sizes_go_the_right_way() -> None:
    zero, one = torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64)
    x = torch.zeros(1, 1, 11, 11)
    x[..., 5, 5] = 1

    def moved(**changes: Any) -> Tensor:
        kept: dict[str, Any] = {"turn": zero, "shift": (zero, zero), "scale": one, "slant": zero}
        matrix = affine_matrix((11, 11), **{**kept, **changes})
        return warp(x, matrix[None].float(), False, "zeros")

    right_and_up = moved(shift=(one * 0.4, one * -0.2))  # 2 and 1 of 10 pixels
    assert right_and_up.argmax().item() == 4 * 11 + 7
    assert moved(scale=one * 2).sum() > 3  # twice as large
    ring = torch.nn.functional.pad(torch.zeros(1, 1, 9, 9), (1, 1, 1, 1), value=1.0)
    matrix = affine_matrix((11, 11), turn=zero, shift=(zero, zero), scale=one * 2, slant=zero)
    assert warp(ring, matrix[None].float(), False, "zeros").sum() == 0  # the border is outside now


def test_corners_go_where_they_are_drawn(places: Tensor, rng: Any) -> None:
    augmentation = Perspective(distortion=0.2, padding="border")
    params = augmentation.sample(range(50), (24, 32), rng)
    corners = torch.tensor([[-1.0, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]])
    taken = torch.einsum("nij,kj->nki", params["matrix"], corners)
    away = (taken[..., :2] / taken[..., 2:] - corners[:, :2]).abs()
    assert 0.35 < away.max() <= 0.4 + 1e-4  # 0.2 of a side that is 2 long


def test_the_field_s_deviation_is_the_amount(rng: Any) -> None:
    augmentation = Elastic(amount=0.05, smooth=0.1)
    shift = augmentation.sample(range(200), (60, 90), rng)["shift"]
    pixels = shift * torch.tensor([89 / 2, 59 / 2])[:, None, None]
    assert pixels.std() == pytest.approx(0.05 * 60, rel=0.05)
    assert pixels.mean().abs() < 0.1


@pytest.mark.parametrize("padding", ["reflection", "border", "zeros"])
def test_what_comes_in_from_outside(padding: Any, rng: Any) -> None:
    x = torch.full((1, 1, 16, 16), -1.0)
    augmentation = Affine(degrees=45.0, translate=0.3, padding=padding)
    moved = [augmentation.geometry(x, augmentation.sample([n], (16, 16), rng)) for n in range(5)]
    greys = torch.cat(moved)
    assert (greys.max() > -0.5) == (padding == "zeros")
    assert greys.min() == pytest.approx(-1)


@settings(max_examples=25, deadline=None)
@given(
    degrees=st.floats(0, 180),
    shear=st.floats(0, 80),
    low=st.floats(0.05, 1),
    high=st.floats(1, 20),
    height=st.integers(1, 20),
    width=st.integers(1, 20),
)
def test_any_parameters_give_finite_pictures(
    degrees: float, shear: float, low: float, high: float, height: int, width: int
) -> None:
    augmentation = Affine(degrees=degrees, shear=shear, scale=(low, high), translate=1.0)
    params = augmentation.sample(
        [0, 1], (height, width), lambda n: torch.Generator().manual_seed(n)
    )
    x = torch.rand(2, 1, height, width)
    for nearest in (False, True):
        moved = augmentation.geometry(x, params, nearest)
        assert moved.shape == x.shape
        assert moved.isfinite().all()
        assert moved.min() >= x.min() - 1e-5
        assert moved.max() <= x.max() + 1e-5


def test_a_range_the_wrong_way_round_is_refused() -> None:
    with pytest.raises(UserError, match=r"scale should be \[lowest, highest\], not \[1.2, 0.8\]"):
        Affine(scale=(1.2, 0.8))
