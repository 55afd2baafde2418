"""Augmentations that break one rule each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from p2ptk import Side, UserError
from p2ptk.testing import conformance
from p2ptk.testing.outcomes import Result

Fails = Callable[..., str]
SKIP = ["import-touches-nothing"]  # takes a process of its own for this file
Params = dict[str, Tensor]


class Mirror:
    """A sound one: mirrors half of the pairs, and brightens the source of some."""

    stage: Any = "data"

    def sides(self, source: Side, target: Side) -> None:
        if source.kind == "labels":
            raise UserError("labels can't be brightened.")

    def sample(self, numbers: Sequence[int], size: tuple[int, int], rng: Any) -> Any:
        draws = torch.stack([torch.rand(2, generator=rng(n)) for n in numbers])
        return {"mirror": draws[:, 0] < 0.5, "brighter": draws[:, 1] * 0.2}

    def apply(self, source: Tensor, target: Tensor, params: Params) -> Any:
        brighter = source + params["brighter"][:, None, None, None]
        return (
            self.geometry(brighter.clamp(-1, 1), params, False),
            self.geometry(target, params, False),
        )

    def geometry(self, x: Tensor, params: Params, nearest: bool) -> Tensor:
        return torch.where(params["mirror"][:, None, None, None], x.flip(-1), x)


class Judged(Mirror):
    """A sound one for the discriminator's eyes."""

    stage = "judge"

    def observe(self, judged_real: Any) -> Any:
        return {"sign": judged_real.logits[0].sign().mean()}


@pytest.mark.parametrize("sound", [Mirror, Judged])
def test_the_sound_ones_pass(sound: type) -> None:
    results = conformance("augmentation", sound, skip=SKIP)
    assert {r.status for r in results} == {"passed", "skipped"}


def test_stages(fails: Fails) -> None:
    later = type("Later", (Mirror,), {"stage": "later"})
    crops = type("Crops", (Judged,), {"load_size": lambda self, size: size})
    stateful = type("Stateful", (Judged,), {"state": {"p": 0.5}})
    assert "declare one of 'derive', 'data', 'judge'" in fails("stage", "augmentation", later)
    assert "leave load_size out" in fails("stage", "augmentation", crops)
    assert "make it an nn.Module" in fails("stage", "augmentation", stateful)


@pytest.mark.parametrize(
    ("drawn", "sentence"),
    [
        ([1, 2], "sample gives list: give a dict"),
        ({"angle": 30.0}, "gives 'angle' as float: make it a tensor"),
        ({"angle": torch.zeros(())}, "its first dimension must count samples"),
        ({"angle": torch.zeros(3)}, "of shape (3,) for 4 samples"),
    ],
)
def test_draws(fails: Fails, drawn: Any, sentence: str) -> None:
    class Draws(Mirror):
        def sample(self, numbers: Sequence[int], size: tuple[int, int], rng: Any) -> Any:
            return drawn

    assert sentence in fails("draws", "augmentation", Draws)


def test_draws_that_depend_on_the_batch(fails: Fails) -> None:
    class Joint(Mirror):
        def sample(self, numbers: Sequence[int], size: tuple[int, int], rng: Any) -> Any:
            draws = torch.rand(len(numbers), 2, generator=rng(numbers[0]))
            return {"mirror": draws[:, 0] < 0.5, "brighter": draws[:, 1] * 0.2}

    said = fails("draws-by-sample-number", "augmentation", Joint)
    assert "for each number n draw from rng(n)" in said


def test_global_numbers(fails: Fails) -> None:
    class Torch(Mirror):
        def sample(self, numbers: Sequence[int], size: tuple[int, int], rng: Any) -> Any:
            return {**super().sample(numbers, size, rng), "noise": torch.rand(len(numbers))}

    class Numpy(Mirror):
        def apply(self, source: Tensor, target: Tensor, params: Params) -> Any:
            return super().apply(source * np.random.rand(), target, params)  # noqa: NPY002

    assert "sample draws from torch's global" in fails(
        "global-numbers-untouched", "augmentation", Torch
    )
    assert "apply draws from numpy's global" in fails(
        "global-numbers-untouched", "augmentation", Numpy
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda s, t: s, "gives Tensor: give (source, target)"),
        (lambda s, t: (s.double(), t), "must stay N C H W and float32"),
        (lambda s, t: (s, t[..., :-2]), "a target of 48x62 pixels where 48x64 are wanted"),
        (lambda s, t: (s[:, :1], t), "changes the source's channels from 3 to 1"),
        (lambda s, t: (s / 0, t), "a source that is not finite"),
        (lambda s, t: (s, t * 3), "clamp it to [-1, 1]"),
    ],
)
def test_images(fails: Fails, change: Any, sentence: str) -> None:
    class Changes(Mirror):
        def apply(self, source: Tensor, target: Tensor, params: Params) -> Any:
            return change(*super().apply(source, target, params))

    assert sentence in fails("images", "augmentation", Changes)


def test_tensors_changed_in_place(fails: Fails) -> None:
    class Tramples(Mirror):
        def apply(self, source: Tensor, target: Tensor, params: Params) -> Any:
            return super().apply(source.mul_(0.5), target, params)

    class Remembers(Mirror):
        calls = 0

        def apply(self, source: Tensor, target: Tensor, params: Params) -> Any:
            self.calls += 1
            return super().apply(source / self.calls, target, params)

    assert "changes source in place" in fails("pure", "augmentation", Tramples)
    assert "gives other images when called again" in fails("pure", "augmentation", Remembers)


def test_samples_that_meet(fails: Fails) -> None:
    class Contrast(Mirror):
        def apply(self, source: Tensor, target: Tensor, params: Params) -> Any:
            return super().apply(source - source.mean(), target, params)

    said = fails("samples-apart", "augmentation", Contrast)
    assert "another source of sample 0 alone than in a batch of 4" in said


def test_geometry_of_one_side(fails: Fails) -> None:
    class SourceAlone(Mirror):
        def apply(self, source: Tensor, target: Tensor, params: Params) -> Any:
            moved, _ = super().apply(source, target, params)
            return moved, target

    class OffByFew(Mirror):
        def apply(self, source: Tensor, target: Tensor, params: Params) -> Any:
            return F.pad(source[..., :-3], (3, 0)), target

    said = fails("shared-geometry", "augmentation", SourceAlone)
    assert "moves source and target differently" in said
    assert "3 pixels apart" in fails("shared-geometry", "augmentation", OffByFew)


def test_photometry_of_one_side_is_no_geometry(ended: Callable[..., Result]) -> None:
    class Harsh(Mirror):
        def apply(self, source: Tensor, target: Tensor, params: Params) -> Any:
            moved, kept = super().apply(source, target, params)
            moved = moved.clone()
            moved[..., 10:30, 5:25] = 0.7  # cut out
            blurred = F.avg_pool2d(moved, 3, stride=1, padding=1)
            return (1 - blurred).clamp(-1, 1), kept

    assert ended("shared-geometry", "augmentation", Harsh).status == "passed"


def test_geometry_of_extra_tensors(fails: Fails, ended: Callable[..., Result]) -> None:
    class Still(Mirror):
        def apply(self, source: Tensor, target: Tensor, params: Params) -> Any:
            return tuple(Mirror.geometry(self, x, params, False) for x in (source, target))

        def geometry(self, x: Tensor, params: Params, nearest: bool) -> Tensor:
            return x

    class Blends(Mirror):
        def geometry(self, x: Tensor, params: Params, nearest: bool) -> Tensor:
            return F.avg_pool2d(super().geometry(x, params, nearest), 3, stride=1, padding=1)

    class Crops:
        stage = "data"
        load_size = staticmethod(lambda size: (size[0] + 8, size[1] + 8))
        sample = Mirror.sample

        def apply(self, source: Tensor, target: Tensor, params: Params) -> Any:
            return source[..., 4:-4, 4:-4], target[..., 4:-4, 4:-4]

    said = fails("geometry-of-extras", "augmentation", Still)
    assert "moves an extra tensor differently from the target" in said
    assert "although nearest=True" in fails("geometry-of-extras", "augmentation", Blends)
    result = ended("geometry-of-extras", "augmentation", Crops)
    assert (result.status, "has no geometry" in result.sentence) == ("warning", True)


def test_channels(fails: Fails, ended: Callable[..., Result]) -> None:
    class Colours(Mirror):
        def apply(self, source: Tensor, target: Tensor, params: Params) -> Any:
            return super().apply(source * torch.ones(3, 1, 1) + torch.eye(3)[:, :1, None], target,
                                 params)  # fmt: skip

    class Refuses(Mirror):
        def apply(self, source: Tensor, target: Tensor, params: Params) -> Any:
            if source.shape[1] != 3:
                raise UserError("colours have three channels.")
            return super().apply(source, target, params)

    assert "stops on 4 source and 4 target channels" in fails("channels", "augmentation", Colours)
    said = ended("channels", "augmentation", Refuses).sentence
    assert said == "it refuses 1 to 1, 4 to 4, 1 to 3, 5 to 2 channels."


def test_labels(fails: Fails, ended: Callable[..., Result]) -> None:
    class Brightens(Mirror):
        def sides(self, source: Side, target: Side) -> None:
            pass

    class Unasked:
        stage = "data"
        sample, apply, geometry = Mirror.sample, Mirror.apply, Mirror.geometry

    assert "although sides() says" in fails("labels-stay-labels", "augmentation", Brightens)
    assert ended("labels-stay-labels", "augmentation", Unasked).status == "warning"
    assert "refused" in ended("labels-stay-labels", "augmentation", Mirror).sentence


def test_no_gradient_at_the_judge_stage(fails: Fails) -> None:
    class Detaches(Judged):
        def apply(self, source: Tensor, target: Tensor, params: Params) -> Any:
            return super().apply(source, target.detach(), params)

    class Rounds(Judged):
        def apply(self, source: Tensor, target: Tensor, params: Params) -> Any:
            return super().apply(source, target.round(), params)

    assert "gives the image no gradient" in fails("differentiable", "augmentation", Detaches)
    assert "a gradient of zero" in fails("differentiable", "augmentation", Rounds)


def test_what_is_restored(fails: Fails, ended: Callable[..., Result]) -> None:
    class Difference(Mirror):
        stage = "derive"

        def apply(self, source: Tensor, target: Tensor, params: Params) -> Any:
            grey = target.mean(1, keepdim=True)
            return grey, (target - grey) / 2

        def restore(self, source: Tensor, image: Tensor) -> Tensor:
            return source + 2 * image

    class Forgets(Difference):
        def restore(self, source: Tensor, image: Tensor) -> Tensor:
            return source + image

    class Grey(Difference):
        def restore(self, source: Tensor, image: Tensor) -> Tensor:
            return source

    assert ended("restores", "augmentation", Difference).status == "passed"
    assert "it must undo what apply does" in fails("restores", "augmentation", Forgets)
    assert "gives (4, 1, 48, 64) where" in fails("restores", "augmentation", Grey)


def test_what_is_observed(fails: Fails) -> None:
    class Maps(Judged):
        def observe(self, judged_real: Any) -> Any:
            return {"sign": judged_real.logits[0].sign()}

    assert "give a dict of scalar tensors" in fails("observes", "augmentation", Maps)
