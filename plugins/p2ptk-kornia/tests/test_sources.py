"""What is made of photos: edges, grey, holes, and worse photos."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from p2ptk import Side, UserError
from p2ptk_kornia.colorize import Colorize
from p2ptk_kornia.degrade import (
    Deblur,
    Denoise,
    SuperResolution,
    gaussian_kernel,
    motion_kernel,
    normal_noise,
)
from p2ptk_kornia.edges import Canny, Sobel, SoftEdges
from p2ptk_kornia.inpaint import Inpaint

SIZE = (24, 32)


def source_of(augmentation: Any, x: Tensor, rng: Any) -> Tensor:
    params = augmentation.sample(range(len(x)), tuple(x.shape[-2:]), rng)
    source, target = augmentation.apply(x, x, params)
    assert target is x or isinstance(augmentation, Colorize)
    assert source.abs().max() <= 1 + 1e-5
    return source


@pytest.fixture
def square() -> Tensor:
    """1 3 24 32: a bright rectangle, rows 8 to 15 and columns 10 to 21, on dark."""
    x = torch.full((1, 3, *SIZE), -0.8)
    x[..., 8:16, 10:22] = 0.8
    return x


@pytest.mark.parametrize(
    "augmentation", [Canny(), Sobel(), SoftEdges()], ids=lambda a: type(a).__name__
)
def test_edges_are_where_brightness_changes(augmentation: Any, square: Tensor, rng: Any) -> None:
    lines = source_of(augmentation, square, rng)
    assert lines.shape == (1, 1, *SIZE)
    ink = lines[0, 0] < 0
    rows, columns = ink.nonzero().unbind(1)
    assert (rows.min() >= 6, rows.max() <= 17) == (True, True)
    assert (columns.min() >= 8, columns.max() <= 23) == (True, True)
    assert ink[7:9, 15].any()
    assert ink[15:17, 15].any()
    assert not ink[11:13, 14:18].any()
    other = type(augmentation)(lines="light")
    torch.testing.assert_close(source_of(other, square, rng), -lines)
    flat = source_of(augmentation, torch.full((1, 3, *SIZE), 0.3), rng)
    torch.testing.assert_close(flat, torch.ones_like(flat), atol=1e-2, rtol=0)


def test_canny_s_lines_are_thin_and_close(square: Tensor, rng: Any) -> None:
    ink = source_of(Canny(), square, rng) < 0
    assert set(source_of(Canny(), square, rng).unique().tolist()) == {-1.0, 1.0}
    assert ink.sum() == pytest.approx(2 * (8 + 12), abs=8)
    assert (ink.sum(3) <= 14).all()


def test_canny_follows_weak_edges_from_strong_ones_only(rng: Any) -> None:
    """A step that fades to the right, and a faint one alone."""
    x = torch.zeros(1, 1, 40, 40)
    x[..., 10:, :] = torch.linspace(0.9, 0.12, 40)
    faint = torch.zeros(1, 1, 40, 40)
    faint[..., 10:, :] = 0.2
    far = (source_of(Canny(low=0.1, high=1.0, follow=40), x, rng) < 0)[0, 0].any(0)
    near = (source_of(Canny(low=0.1, high=1.0, follow=3), x, rng) < 0)[0, 0].any(0)
    strong = (source_of(Canny(low=1.0, high=1.0), x, rng) < 0)[0, 0].any(0)
    assert strong.sum() < near.sum() == strong.sum() + 3 < far.sum()
    assert not (source_of(Canny(low=0.1, high=1.0, follow=40), faint, rng) < 0).any()


def test_edges_of_colours_of_the_same_brightness(rng: Any) -> None:
    """Red beside a green as bright: invisible in grey, not to soft edges."""
    x = torch.zeros(1, 3, *SIZE)
    x[:, 0, :, :16] = 0.299 / 0.299
    x[:, 1, :, 16:] = 0.299 / 0.587
    x = x * 2 - 1
    assert not (source_of(Canny(), x, rng) < 0).any()
    assert (source_of(SoftEdges(), x, rng)[..., 14:18] < 0).any()


def test_colours_come_back_in_lab(images: Tensor, rng: Any) -> None:
    augmentation = Colorize()
    params = augmentation.sample(range(4), SIZE, rng)
    source, target = augmentation.apply(images, images, params)
    assert (source.shape, target.shape) == ((4, 1, *SIZE), (4, 2, *SIZE))
    assert target.abs().max() < 1
    torch.testing.assert_close(augmentation.restore(source, target), images, atol=2e-3, rtol=0)
    colourless = augmentation.restore(source, torch.zeros_like(target))
    assert (colourless.amax(1) - colourless.amin(1)).max() < 2e-2
    anything = augmentation.restore(source, torch.full_like(target, 5.0))
    assert anything.isfinite().all()
    assert anything.abs().max() <= 1


def test_lab_s_golden_values() -> None:
    """White, black, and pure red: L 53.24, a 80.09, b 67.20 (D65)."""
    colours = torch.tensor([[1.0, 1, 1], [-1, -1, -1], [1, -1, -1]]).view(3, 3, 1, 1)
    source, target = Colorize().apply(colours, colours, {})
    assert ((source.flatten() + 1) * 50).tolist() == pytest.approx([100, 0, 53.24], abs=0.05)
    assert (target[2].flatten() * 110).tolist() == pytest.approx([80.09, 67.20], abs=0.05)


def test_every_colour_fits_in_ab() -> None:
    steps = torch.linspace(-1, 1, 17)
    cube = torch.cartesian_prod(steps, steps, steps).T.reshape(1, 3, 17, -1)
    _, target = Colorize().apply(cube, cube, {})
    assert target.abs().max() <= 1


def test_grey_is_luma_and_restores_nothing(images: Tensor, rng: Any) -> None:
    augmentation = Colorize(space="grey")
    source, target = augmentation.apply(images, images, {})
    assert target is images
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    torch.testing.assert_close(source, (images * weights).sum(1, keepdim=True))
    assert augmentation.restore(source, target) is target


def test_colours_are_needed(images: Tensor) -> None:
    with pytest.raises(UserError, match="needs pictures of 3 channels, not of 1"):
        Colorize().apply(images[:, :1], images[:, :1], {})


def test_holes_are_grey_marked_and_kept_out(images: Tensor, rng: Any) -> None:
    augmentation = Inpaint()
    params = augmentation.sample(range(4), SIZE, rng)
    source, target = augmentation.apply(images, images, params)
    assert source.shape == (4, 4, *SIZE)
    known = source[:, 3:]
    assert set(known.unique().tolist()) == {-1.0, 1.0}
    hole = (known < 0).expand(-1, 3, -1, -1)
    assert (source[:, :3][hole] == 0).all()
    assert torch.equal(source[:, :3][~hole], images[~hole])
    made = augmentation.restore(source, torch.full_like(target, 0.7))
    assert (made[hole] == 0.7).all()
    assert torch.equal(made[~hole], images[~hole])
    assert torch.equal(augmentation.restore(source, target), target)
    raw = Inpaint(keep=False).restore(source, torch.full_like(target, 0.7))
    assert (raw == 0.7).all()


@pytest.mark.parametrize(("strokes", "boxes"), [(1, 0), (0, 1), (0, 3), (8, 2), (1, 1)])
def test_every_photo_has_a_hole_and_none_is_all_hole(strokes: int, boxes: int, rng: Any) -> None:
    augmentation = Inpaint(strokes=strokes, boxes=boxes)
    known = augmentation.sample(range(150), (40, 50), rng)["known"]
    share = 1 - known.flatten(1).float().mean(1)
    assert share.min() > 0
    assert share.max() < 0.9
    assert known.shape == (150, 1, 40, 50)
    assert len(share.unique()) > 20


def test_holes_scale_with_the_picture(rng: Any) -> None:
    small, large = (Inpaint().sample(range(40), s, rng)["known"] for s in ((40, 50), (160, 200)))
    shares = [1 - known.float().mean().item() for known in (small, large)]
    assert shares[0] == pytest.approx(shares[1], abs=0.06)
    with pytest.raises(UserError, match="strokes or boxes should be at least 1"):
        Inpaint(strokes=0, boxes=0)


def test_fine_detail_is_lost_and_coarse_kept(rng: Any) -> None:
    fine = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    coarse = torch.linspace(-1, 1, 32).expand(1, 1, 32, 32).contiguous()
    augmentation = SuperResolution(factor=4)
    assert source_of(augmentation, fine, rng).std() < 0.5 * fine.std()
    kept = source_of(augmentation, coarse, rng)
    torch.testing.assert_close(kept[..., 4:-4], coarse[..., 4:-4], atol=0.03, rtol=0)
    for size in ((31, 45), (3, 2), (1, 1)):
        assert source_of(augmentation, torch.zeros(1, 2, *size), rng).shape == (1, 2, *size)


def test_blurs_of_each_sample(rng: Any) -> None:
    x = torch.zeros(6, 2, 41, 41)
    x[..., 20, 20] = 1
    augmentation = Deblur(sigma=(1.0, 3.0), length=(5.0, 15.0))
    blurred = source_of(augmentation, x, rng)
    assert torch.equal(blurred[:, 0], blurred[:, 1])
    torch.testing.assert_close(blurred.sum((2, 3)), torch.ones(6, 2), atol=1e-4, rtol=0)
    assert len(blurred.amax((1, 2, 3)).unique()) == 6
    flat = torch.full((6, 1, 41, 41), 0.4)
    torch.testing.assert_close(source_of(augmentation, flat, rng), flat)
    tiny = torch.full((2, 1, 3, 5), 0.4)
    torch.testing.assert_close(source_of(augmentation, tiny, rng), tiny)


def test_kernels_are_as_wide_as_they_should() -> None:
    places = torch.arange(-15, 16, dtype=torch.float64)
    gaussian = gaussian_kernel(15, 2.5)
    assert gaussian.sum().item() == pytest.approx(1)
    assert (gaussian.sum(0) * places**2).sum().sqrt().item() == pytest.approx(2.5, rel=0.01)
    for angle, along in ((0.0, 0), (torch.pi / 2, 1)):
        line = motion_kernel(15, 9.0, angle)
        assert line.sum().item() == pytest.approx(1)
        assert (line.sum(along) > 0.05).sum() == 9
        assert (line.sum(1 - along) > 0.05).sum() == 1
    slanted = motion_kernel(15, 9.0, 0.5)
    moments = (slanted.sum(0) * places**2).sum(), (slanted.sum(1) * places**2).sum()
    assert moments[0] > moments[1] > 0.5
    assert motion_kernel(1, 1.0, 0.3).max() > 0.8


def test_noise_is_as_strong_as_it_says(rng: Any) -> None:
    x = torch.stack([torch.full((1, 64, 64), value) for value in (-0.5, 0.5)])
    for kind, expected in (("gaussian", (0.2, 0.2)), ("poisson", (0.1, 0.1732))):
        augmentation = Denoise(kind=kind, sigma=(0.1, 0.1))  # type: ignore[arg-type]
        noise = source_of(augmentation, x, rng) - x
        assert noise.std((1, 2, 3)).tolist() == pytest.approx(expected, rel=0.05)
        assert noise.mean((1, 2, 3)).abs().max() < 0.01
    ranged = Denoise(sigma=(0.05, 0.4)).sample(range(200), (2, 2), rng)["sigma"]
    assert ranged.aminmax() == (pytest.approx(0.05, abs=0.01), pytest.approx(0.4, abs=0.01))


def test_noise_from_seeds_is_normal_and_each_seed_s_own() -> None:
    seeds = torch.tensor([0, 1, 2**32 - 1, 12345])
    noise = normal_noise(seeds, torch.Size((3, 100, 100)))
    assert noise.isfinite().all()
    assert noise.std((1, 2, 3)).tolist() == pytest.approx([1] * 4, abs=0.02)
    assert noise.mean((1, 2, 3)).abs().max() < 0.02
    fourth = noise.pow(4).mean().item()
    assert fourth == pytest.approx(3, abs=0.15)
    flat = noise.flatten(1)
    assert (torch.corrcoef(flat) - torch.eye(4)).abs().max() < 0.03
    assert torch.corrcoef(torch.stack([flat[0, 1:], flat[0, :-1]]))[0, 1].abs() < 0.03
    assert torch.equal(normal_noise(seeds[3:], torch.Size((3, 100, 100)))[0], noise[3])
    # Golden: the same on every machine and device, to float32's last bits.
    golden = normal_noise(torch.tensor([7]), torch.Size((4,)))
    assert golden.flatten().tolist() == pytest.approx(GOLDEN, abs=1e-5)


GOLDEN = [2.340099, -0.950105, 0.028225, -0.458593]


@pytest.mark.parametrize(
    "augmentation",
    [Canny(), Colorize(), Inpaint(), SuperResolution(), Deblur(), Denoise()],
    ids=lambda a: type(a).__name__,
)
def test_labels_are_refused(augmentation: Any) -> None:
    labels = Side("labels", classes=3)
    with pytest.raises(UserError, match=r"holds labels: leave it out\."):
        augmentation.sides(labels, labels)
    augmentation.sides(Side(), Side())


def test_ranges_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(UserError, match=r"deblur: sigma should be"):
        Deblur(sigma=(3.0, 1.0))
    with pytest.raises(UserError, match=r"denoise: sigma should be"):
        Denoise(sigma=(0.5, 0.1))
    with pytest.raises(UserError, match=r"canny: low=2 should not be above high=1"):
        Canny(low=2.0, high=1.0)


def test_they_can_follow_each_other(images: Tensor, rng: Any) -> None:
    """Each changes the source that it gets: noise on a coarse photo."""
    coarse, target = SuperResolution().apply(images, images, {})
    noise = Denoise(sigma=(0.2, 0.2))
    both, _ = noise.apply(coarse, target, noise.sample(range(4), SIZE, rng))
    assert ((both - coarse).std() - 0.4).abs() < 0.1
    lightness, colours = Colorize().apply(coarse, images, {})
    assert torch.equal(lightness, Colorize().apply(coarse, coarse, {})[0])
    assert torch.equal(colours, Colorize().apply(images, images, {})[1])
