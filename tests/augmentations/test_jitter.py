from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from p2ptk.augmentations.jitter import Jitter
from p2ptk.components import Spec, create
from p2ptk.contracts import Augmentation
from p2ptk.errors import UserError
from p2ptk.randomness import sample_rng


def coordinates(height: int, width: int, count: int, channels: int) -> torch.Tensor:
    """Every pixel says where it was: row * 1000 + column, plus its image and channel."""
    rows = torch.arange(height)[:, None] * 1000.0
    places = rows + torch.arange(width)
    images = torch.arange(count)[:, None, None, None] * 1e6
    return places + images + torch.arange(channels)[:, None, None] * 1e8


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    load=st.floats(1, 3),
    mirror=st.booleans(),
    seed=st.integers(0, 99),
    count=st.integers(1, 5),
)
def test_both_sides_get_the_same_crop_and_only_moved_pixels(
    height: int, width: int, load: float, mirror: bool, seed: int, count: int
) -> None:
    jitter = Jitter(load=load, mirror=mirror)
    loaded = jitter.load_size((height, width))
    source, target = (coordinates(*loaded, count, channels) for channels in (3, 2))
    numbers = range(seed, seed + count)
    params = jitter.sample(numbers, (height, width), sample_rng(seed, "jitter"))
    new_source, new_target = jitter.apply(source, target, params)
    assert new_source.shape == (count, 3, height, width)
    assert torch.equal(new_source[:, :2], new_target)
    assert torch.equal(jitter.geometry(target, params), new_target)
    for i in range(count):
        flipped = width > 1 and bool(new_source[i, 0, 0, 0] > new_source[i, 0, 0, -1])
        crop = new_source[i].flip(-1) if flipped else new_source[i]
        corner = int(crop[0, 0, 0] - i * 1e6)
        top, left = corner // 1000, corner % 1000
        assert torch.equal(crop, source[i, :, top : top + height, left : left + width])
        assert mirror or not flipped


def test_every_crop_and_both_ways_occur_equally_often() -> None:
    jitter = Jitter(load=1.5)
    params = jitter.sample(range(9000), (4, 8), sample_rng(3, "jitter"))
    first = torch.stack([params["rows"][:, 0], params["columns"].amin(1)], 1)
    places, counts = first.unique(dim=0, return_counts=True)
    assert len(places) == 3 * 5
    assert counts.min() > 480
    assert counts.max() < 720
    mirrored = (params["columns"][:, 0] > params["columns"][:, 1]).float().mean()
    assert mirrored.item() == pytest.approx(0.5, abs=0.03)


def test_the_draw_depends_on_the_sample_alone() -> None:
    jitter, rng = Jitter(), sample_rng(0, "jitter")
    together = jitter.sample([5, 6, 7], (256, 256), rng)
    alone = jitter.sample([7], (256, 256), rng)
    for name, value in together.items():
        assert torch.equal(value[2:], alone[name])
        assert value.shape[0] == 3


def test_golden_draws() -> None:
    """The crops of existing runs stay as they are."""
    params = Jitter().sample(range(4), (256, 256), sample_rng(0, "jitter"))
    assert params["rows"][:, 0].tolist() == [26, 0, 17, 14]
    assert params["columns"][:, 0].tolist() == [2, 23, 268, 12]


def test_the_papers_size_is_the_default() -> None:
    jitter = Jitter()
    assert jitter.load_size((256, 256)) == (286, 286)
    assert jitter.load_size((128, 512)) == (143, 572)
    assert Jitter(load=1).load_size((7, 9)) == (7, 9)


def test_without_crop_and_mirror_nothing_changes() -> None:
    jitter = Jitter(load=1, mirror=False)
    image = torch.randn(2, 3, 5, 6)
    params = jitter.sample([0, 1], (5, 6), sample_rng(0, "jitter"))
    assert torch.equal(jitter.geometry(image, params), image)


def test_it_is_a_component_with_limits() -> None:
    assert isinstance(create("augmentation", Spec.parse("jitter:load=1.5,mirror=false")), Jitter)
    with pytest.raises(UserError, match="load"):
        create("augmentation", Spec.parse("jitter:load=0.5"))
    augmentation: Augmentation = Jitter()
    assert augmentation.stage == "data"
