"""p follows how sure D is, and the changes follow p."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from p2ptk import Judgement, Side, UserError
from p2ptk_kornia.ada import Ada
from p2ptk_kornia.ada_changes import COLOURS, MOVES, changes

SIZE = (24, 32)


def judged(*means: float, images: int = 4) -> Judgement:
    """Logits, one map a scale, of which a share (1 + mean) / 2 is positive."""
    maps = []
    for mean in means:
        signs = torch.full((images, 1, 10, 10), -1.0)
        signs.view(-1)[: round(signs.numel() * (1 + mean) / 2)] = 1.0
        maps.append(signs * 3)
    return Judgement(tuple(maps), ())


def test_without_p_nothing_changes(images: Tensor, rng: Any) -> None:
    augmentation = Ada()
    source, target = augmentation.apply(images, images, augmentation.sample(range(4), SIZE, rng))
    for x in (source, target):
        torch.testing.assert_close(x, images, atol=2e-5, rtol=0)


def test_p_rises_where_d_is_too_sure_and_falls_where_it_is_not() -> None:
    augmentation = Ada(speed=100, interval=2, target=0.6)
    seen = []
    for mean in (0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.2, 0.2, 0.2, 0.2):
        notes = augmentation.observe(judged(mean))
        assert notes["r"].item() == pytest.approx(mean, abs=0.02)
        seen.append(round(notes["p"].item(), 4))
    # Every second step p moves by 2 steps of 4 images over 100.
    assert seen == [0, 0.08, 0.08, 0.16, 0.16, 0.24, 0.24, 0.16, 0.16, 0.08]


def test_p_stays_between_nothing_and_its_largest_value() -> None:
    augmentation = Ada(speed=10, interval=1, most=0.5)
    for _ in range(5):
        p = augmentation.observe(judged(1.0))["p"]
    assert p.item() == 0.5
    for _ in range(5):
        p = augmentation.observe(judged(-1.0))["p"]
    assert p.item() == 0


def test_r_is_the_mean_over_scales_and_its_middle_can_be_told() -> None:
    assert Ada().observe(judged(1.0, 0.0))["r"].item() == pytest.approx(0.5)
    lsgan = Judgement((torch.tensor([0.4, 0.6, 0.9, 1.1]).view(4, 1, 1, 1),), ())
    assert Ada().observe(lsgan)["r"].item() == 1
    assert Ada(centre=0.5).observe(lsgan)["r"].item() == 0.5


def test_logits_that_are_not_numbers_do_no_harm() -> None:
    augmentation = Ada(interval=1)
    augmentation.observe(Judgement((torch.full((2, 1, 3, 3), float("nan")),), ()))
    assert augmentation.state.p.isfinite()
    augmentation.observe(judged(1.0))
    assert augmentation.state.p > 0


def test_its_state_goes_on_bit_for_bit() -> None:
    straight, first, second = (Ada(speed=50, interval=3) for _ in range(3))
    course = [judged(x) for x in (0.9, 0.8, 0.1, 1.0, 0.9, 0.7, 0.9, 0.2)]
    for each in course:
        straight.observe(each)
    for each in course[:4]:
        first.observe(each)
    second.state.load_state_dict(first.state.state_dict())
    for each in course[4:]:
        second.observe(each)
    assert set(straight.state.state_dict()) == {"p", "seen", "steps"}
    for name, value in straight.state.state_dict().items():
        assert torch.equal(value, second.state.state_dict()[name]), name


def test_draws_do_not_depend_on_p_nor_on_the_policy(rng: Any) -> None:
    whole = Ada(p=0.8).sample(range(3), SIZE, rng)
    some = Ada(policy=("geometry",)).sample(range(3), SIZE, rng)
    assert set(some) == {"moves", "moves_chance"}
    assert torch.equal(whole["moves"][:, 3:], some["moves"])
    assert torch.equal(whole["moves_chance"][:, 3:], some["moves_chance"])
    assert torch.equal(Ada(p=0.1).sample([2], SIZE, rng)["colours"][0], whole["colours"][2])


@pytest.mark.parametrize("p", [0.2, 0.7])
def test_changes_are_done_as_often_as_p_says(p: float, rng: Any) -> None:
    augmentation = Ada(policy=("color",), p=p)
    x = torch.rand(1000, 3, 1, 1)
    params = augmentation.sample(range(1000), (1, 1), rng)
    _, target = augmentation.apply(x, x, params)
    same = (target - x).abs().amax((1, 2, 3)) < 1e-6
    kept = (params["colours_chance"] >= p).all(1)
    assert (same | ~kept).all()
    # Inversion and mirrors are nothing in half of the cases.
    assert kept.float().mean() == pytest.approx((1 - p) ** 5, abs=0.05)
    turned = Ada(policy=("geometry",), p=p)
    each = torch.where(turned.state.turns, 1 - (1 - turned.state.p).sqrt(), turned.state.p)
    assert 1 - (1 - each[1]) * (1 - each[3]) == pytest.approx(p)  # either of the two turns


def test_both_sides_move_alike_and_labels_stay_one_hot(places: Tensor, rng: Any) -> None:
    augmentation = Ada(policy=("blit", "geometry"), p=0.8)
    x = places.expand(8, -1, -1, -1)
    params = augmentation.sample(range(8), SIZE, rng)
    source, target = augmentation.apply(x, x[:, :2], params)
    assert torch.equal(source[:, :2], target)
    torch.testing.assert_close(source[:, 2], torch.ones(8, *SIZE))  # reflected, not black
    labels = torch.cat([(x[:, :1] > 0).float(), (x[:, :1] <= 0).float()], 1)
    augmentation.sides(Side("labels", classes=2), Side())
    moved, _ = augmentation.apply(labels, x, params)
    assert set(moved.unique().tolist()) == {0.0, 1.0}


def test_colours_change_the_image_alone_and_no_labels(images: Tensor, rng: Any) -> None:
    augmentation = Ada(policy=("color",), p=0.8)
    params = augmentation.sample(range(4), SIZE, rng)
    source, target = augmentation.apply(images, images, params)
    assert source is images
    assert not torch.equal(target, images)
    grey = images[:, :1].expand(-1, 3, -1, -1)
    _, of_three = augmentation.apply(images, grey, params)
    _, of_one = augmentation.apply(images, grey[:, :1], params)
    torch.testing.assert_close(of_three.mean(1), of_one[:, 0], atol=1e-5, rtol=0)
    augmentation.sides(Side(), Side("labels", classes=3))
    assert augmentation.apply(images, images, params)[1] is images


def test_the_matrices_are_what_they_are_called() -> None:
    made = changes(torch.Generator().manual_seed(3), SIZE)
    assert set(made) == {name for group in (MOVES, COLOURS) for x in group.values() for name in x}
    axis = torch.ones(3, dtype=torch.float64)
    grey = torch.tensor([0.3, 0.3, 0.3, 1.0], dtype=torch.float64)
    hue = made["hue"][:3, :3]
    torch.testing.assert_close(hue @ axis, axis)  # grey stays, and lengths
    torch.testing.assert_close(hue @ hue.T, torch.eye(3, dtype=torch.float64))
    torch.testing.assert_close(made["saturation"] @ grey, grey)
    pixels = torch.tensor([31 / 2, 23 / 2, 1], dtype=torch.float64)
    for name in ("turn-before", "turn-after", "quarter-turn"):
        turn = torch.diag(pixels) @ made[name] @ torch.diag(1 / pixels)
        torch.testing.assert_close(turn @ turn.T, torch.eye(3, dtype=torch.float64))
    shift = made["whole-shift"][:2, 2] * pixels[:2]
    torch.testing.assert_close(shift, shift.round())
    inverted = {
        float(changes(torch.Generator().manual_seed(n), SIZE)["inversion"][0, 0].round(decimals=3))
        for n in range(12)
    }
    assert inverted == {1.0, 0.333}


def test_gradients_reach_both_sides(images: Tensor, rng: Any) -> None:
    augmentation = Ada(p=0.8)
    source, target = images.clone().requires_grad_(), images.clone().requires_grad_()
    seen = augmentation.apply(source, target, augmentation.sample(range(4), SIZE, rng))
    sum(x.square().sum() for x in seen).backward()  # type: ignore[union-attr]
    for x in (source, target):
        assert x.grad is not None
        assert x.grad.isfinite().all()
        assert (x.grad != 0).float().mean() > 0.3


def test_any_seed_gives_finite_changes() -> None:
    for seed, size in itertools.product(range(20), [(1, 1), (1, 9), (64, 48)]):
        made = changes(torch.Generator().manual_seed(seed), size)
        assert all(matrix.isfinite().all() for matrix in made.values())


def test_wrong_parameters_are_refused() -> None:
    with pytest.raises(UserError, match="policy should name blit, geometry or color"):
        Ada(policy=())
    with pytest.raises(UserError, match=r"p begins at 0\.9, above its largest value, most=0\.8"):
        Ada(p=0.9)
