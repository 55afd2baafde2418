"""kornia's own transforms: all that fit, each sample by itself, and what is said of the others."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from p2ptk import Side, Spec, UserError, create
from p2ptk_kornia.pipeline import Pipeline
from p2ptk_kornia.transforms import SHARED, UNFIT, known

NEEDS: dict[str, dict[str, Any]] = {
    "Denormalize": {"mean": 0.1, "std": 0.9},
    "Normalize": {"mean": 0.1, "std": 0.9},
    "RandomAffine": {"degrees": 20.0, "translate": [0.1, 0.2], "shear": 5.0},
    "RandomFisheye": {"center_x": [-0.3, 0.3], "center_y": [-0.3, 0.3], "gamma": [0.7, 1.3]},
    "RandomGaussianBlur": {"kernel_size": [3, 3], "sigma": [0.5, 2.0]},
    "RandomMotionBlur": {"kernel_size": [3, 7], "angle": 35.0, "direction": 0.5},
    "RandomRotation": {"degrees": 30.0},
    "RandomRotation90": {"times": [0, 3]},
    "RandomShear": {"shear": [-10.0, 10.0]},
    "RandomTranslate": {"translate_x": [0.1, 0.3]},
    "ColorJiggle": {"brightness": 0.3, "hue": 0.2},
    "ColorJitter": {"contrast": 0.3, "saturation": 0.3},
    "RandomBrightness": {"brightness": [0.5, 1.5]},
    "RandomContrast": {"contrast": [0.5, 1.5]},
    "RandomSaturation": {"saturation": [0.0, 2.0]},
    "RandomGamma": {"gamma": [0.5, 2.0]},
    "RandomHue": {"hue": [-0.3, 0.3]},
}
ALL = sorted(known())


def spec(name: str, **params: Any) -> Spec:
    return Spec(name, {**NEEDS.get(name, {}), "p": 0.7, **params})


def numpy_state() -> Any:
    return np.random.get_state()[1].copy()  # type: ignore[index]  # noqa: NPY002  what others use


def pipeline(*transforms: Spec, **params: Any) -> Pipeline:
    return Pipeline(transforms=list(transforms), **{"side": "source", **params})


def test_it_offers_most_of_kornia() -> None:
    assert len(ALL) > 35
    assert set(SHARED) < set(ALL)
    assert not set(UNFIT) & set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_every_transform_treats_each_sample_by_itself(name: str, rng: Any) -> None:
    """Alone or in a batch, first or again, with whatever global numbers there are."""
    numbers = torch.Generator().manual_seed(1)
    source, target = (torch.rand(4, 3, 32, 40, generator=numbers) * 2 - 1 for _ in range(2))
    augmentation = pipeline(spec(name))
    torch.manual_seed(5)
    state, python, array = torch.get_rng_state(), random.getstate(), numpy_state()
    params = augmentation.sample([0, 1, 2, 3], (32, 40), rng)
    kept = source.clone(), {k: v.clone() for k, v in params.items()}
    together = augmentation.apply(source, target, params)
    assert torch.equal(state, torch.get_rng_state())
    assert python == random.getstate()
    assert (array == numpy_state()).all()
    assert torch.equal(source, kept[0])
    assert all(torch.equal(v, kept[1][k]) for k, v in params.items())
    assert all(x.shape == source.shape and x.isfinite().all() for x in together)
    assert max(x.abs().max() for x in together) <= 1 + 1e-5
    torch.manual_seed(6)
    for i in (2, 0, 3, 1):
        one = augmentation.sample([i], (32, 40), rng)
        alone = augmentation.apply(source[i : i + 1], target[i : i + 1], one)
        for a, b in zip(alone, together, strict=True):
            torch.testing.assert_close(a[0], b[i], atol=1e-5, rtol=1e-5)
    moved = [not torch.equal(x, y) for x, y in zip(together, (source, target), strict=True)]
    assert moved == ([True, True] if augmentation.transforms[0].moves else [True, False])


MOVES = [name for name in ALL if pipeline(spec(name)).transforms[0].moves]


@pytest.mark.parametrize("name", MOVES)
def test_places_are_shared_and_labels_stay_labels(name: str, places: Tensor, rng: Any) -> None:
    augmentation = pipeline(spec(name, p=1.0))
    params = augmentation.sample([1], (24, 32), rng)
    source, target = augmentation.apply(places, places, params)
    assert torch.equal(source, target)
    ones = torch.ones(1, 24, 32)
    torch.testing.assert_close(source[:, 2], ones, atol=2e-4, rtol=0)  # no black corners
    assert torch.equal(augmentation.geometry(places, params), source)
    labels = (places[:, :1] > 0.1).float()
    labels = torch.cat([labels, 1 - labels], 1)
    if augmentation.transforms[0].nearest is None:
        assert name in ("RandomFisheye", "RandomThinPlateSpline")
        with pytest.raises(UserError, match=f"{name} only interpolates, and can't move labels"):
            augmentation.sides(Side("labels", classes=2), Side())
        return
    augmentation.sides(Side("labels", classes=2), Side())
    moved, _ = augmentation.apply(labels, places, params)
    assert set(moved.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(moved.sum(1), ones)


def test_transforms_follow_each_other(images: Tensor, rng: Any) -> None:
    flips = [spec("RandomHorizontalFlip", p=1.0), spec("RandomVerticalFlip", p=1.0)]
    augmentation = pipeline(*flips, spec("RandomInvert", p=1.0))
    params = augmentation.sample(range(4), (24, 32), rng)
    source, target = augmentation.apply(images, images, params)
    torch.testing.assert_close(source, -images.flip(2, 3), atol=1e-6, rtol=0)
    assert torch.equal(target, images.flip(2, 3))
    assert torch.equal(augmentation.geometry(images, params), target)  # without the inversion


def test_the_share_of_changed_samples_is_p(rng: Any) -> None:
    augmentation = pipeline(spec("RandomInvert", p=0.3))
    x = torch.ones(400, 1, 1, 1)
    source, _ = augmentation.apply(x, x, augmentation.sample(range(400), (1, 1), rng))
    assert (source < 0).float().mean() == pytest.approx(0.3, abs=0.07)


def test_grey_pictures_and_noise_for_three_channels(images: Tensor, rng: Any) -> None:
    augmentation = pipeline(spec("RandomGaussianNoise", std=0.1, p=1.0))
    params = augmentation.sample(range(4), (24, 32), rng)
    grey, _ = augmentation.apply(images[:, :1], images, params)
    assert grey.shape == (4, 1, 24, 32)
    with pytest.raises(UserError, match="for 1 or 3 channels, not for 2"):
        augmentation.apply(images[:, :2], images, params)
    hue = pipeline(spec("RandomHue", p=1.0))
    with pytest.raises(UserError, match="RandomHue does not take pictures of 1x24x32"):
        hue.apply(images[:, :1], images, hue.sample(range(4), (24, 32), rng))


@pytest.mark.parametrize(
    ("transforms", "params", "words"),
    [
        ([], {}, "should name at least one"),
        ([Spec("RandomRotatoin")], {}, "no transform 'RandomRotatoin': did you mean 'RandomRotati"),
        ([Spec("xyz")], {}, "no transform 'xyz': choose from ColorJiggle"),
        ([Spec("RandomRotation")], {}, "refuses RandomRotation: .*'degrees'"),
        ([Spec("RandomInvert", {"pp": 1})], {}, "RandomInvert has no parameter 'pp': did you mean"),
        ([Spec("RandomInvert", {"same_on_batch": True})], {}, "no parameter 'same_on_batch'"),
        ([Spec("RandomRotation", {"degrees": -5.0})], {}, "refuses RandomRotation: .*negative"),
        ([Spec("RandomInvert", {"p": 1.5})], {}, r"p of RandomInvert should be from 0 to 1 .*1\.5"),
        ([Spec("RandomCrop", {"size": [8, 8]})], {}, "can't use .*RandomCrop: it changes the size"),
        ([Spec("RandomInvert")], {"side": None}, "RandomInvert changes colours: say whose, side="),
    ],
)
def test_wrong_lists_are_refused_in_one_sentence(
    transforms: list[Spec], params: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError, match=words) as caught:
        pipeline(*transforms, **params)
    assert "\n" not in str(caught.value)


def test_colours_of_labels_are_refused() -> None:
    augmentation = pipeline(spec("RandomInvert"))
    with pytest.raises(UserError, match="the source holds labels"):
        augmentation.sides(Side("labels", classes=2), Side())
    pipeline(spec("RandomHorizontalFlip")).sides(Side("labels", classes=2), Side("values"))


def test_it_is_written_on_the_command_line_as_in_toml() -> None:
    text = (
        "kornia-pipeline:transforms=[RandomRotation(degrees=[-10,10.0],p=0.5),RandomHorizontalFlip,"
        "RandomTranslate(translate_x=[0.0,0.1],translate_y=none)],side=target"
    )
    table = {
        "name": "kornia-pipeline",
        "side": "target",
        "transforms": [
            {"name": "RandomRotation", "degrees": [-10, 10.0], "p": 0.5},
            {"name": "RandomHorizontalFlip"},
            {"name": "RandomTranslate", "translate_x": [0.0, 0.1], "translate_y": "none"},
        ],
    }
    for given in (text, table):
        made = create("augmentation", given)
        assert [each.name for each in made.transforms] == [t["name"] for t in table["transforms"]]  # type: ignore[index]
        assert [each.p for each in made.transforms] == [0.5, 0.5, 0.5]
    with pytest.raises(UserError, match="transforms is required"):
        create("augmentation", "kornia-pipeline")
