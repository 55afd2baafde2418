"""Metrics that break one rule each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from p2ptk import UserError
from p2ptk.testing import conformance
from p2ptk.testing.outcomes import Result

Fails = Callable[..., str]
SKIP = ["import-touches-nothing"]  # takes a process of its own for this file


class Halved:
    """Computes a mean of batches.

    Which is wrong.
    """

    higher_is_better: Any = False

    def __init__(self) -> None:
        self.batches: list[float] = []

    def update(self, fake: Tensor, target: Tensor, source: Tensor) -> None:
        self.batches.append(self.score(fake, target))

    def score(self, fake: Tensor, target: Tensor) -> float:
        return float((fake - target).abs().mean())

    def compute(self) -> Any:
        return {"halved": sum(self.batches) / len(self.batches)}


class Mean(Halved):
    """A sound metric."""

    def update(self, fake: Tensor, target: Tensor, source: Tensor) -> None:
        self.batches += [self.score(*pair) for pair in zip(fake, target, strict=True)]


def test_the_sound_metric_passes() -> None:
    results = conformance("metric", Mean, skip=SKIP)
    assert {r.status for r in results} == {"passed", "skipped"}


def test_a_mean_of_batches(fails: Fails) -> None:
    assert "not a mean of batches" in fails("any-batches", "metric", Halved)


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (0.5, "give a dict"),
        ({}, "give a dict"),
        ({"": 0.5}, "has the name ''"),
        ({"x": torch.zeros(())}, "gives x as Tensor: give a float"),
        ({"x": float("nan")}, "gives x = nan"),
    ],
)
def test_values(fails: Fails, found: object, sentence: str) -> None:
    assert sentence in fails("values", "metric", type("M", (Mean,), {"compute": lambda s: found}))


def test_the_wrong_direction(fails: Fails, ended: Callable[..., Result]) -> None:
    upwards = type("Upwards", (Mean,), {"higher_is_better": True})
    by_name = type("ByName", (Mean,), {"higher_is_better": {"halved": False}})
    silent = type("Silent", (Mean,), {"higher_is_better": None})
    said = fails("identical-images", "metric", upwards)
    assert "declare higher_is_better = False" in said
    assert ended("identical-images", "metric", by_name).status == "passed"
    assert ended("identical-images", "metric", silent).status == "skipped"


def test_sums_that_all_share(fails: Fails) -> None:
    class Shared(Mean):
        def __init__(self) -> None:
            self.batches = self.everyones

        everyones: Any = []  # noqa: RUF012

    assert "keep sums on self" in fails("instances-apart", "metric", Shared)


def test_a_metric_that_changes_images(fails: Fails) -> None:
    class Clamps(Mean):
        def score(self, fake: Tensor, target: Tensor) -> float:
            return super().score(fake, target.clamp_(0, 1))

    class Draws(Mean):
        def score(self, fake: Tensor, target: Tensor) -> float:
            return super().score(fake + torch.rand(()), target)

    assert "changes target in place" in fails("leaves-images", "metric", Clamps)
    assert "torch's global generator" in fails("leaves-images", "metric", Draws)


def test_a_metric_that_refuses_everything_is_skipped(ended: Callable[..., Result]) -> None:
    class Refuses(Mean):
        def score(self, fake: Tensor, target: Tensor) -> float:
            raise UserError("it needs infrared images.")

    result = ended("values", "metric", Refuses)
    assert (result.status, "infrared" in result.sentence) == ("skipped", True)
