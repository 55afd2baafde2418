"""Datasets that break one rule each."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from p2ptk import Pair, Side, UserError
from p2ptk.testing import conformance
from p2ptk.testing.outcomes import Result

Fails = Callable[..., str]
SKIP = ["import-touches-nothing"]  # takes a process of its own for this file


class Part:
    """Three pairs."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Pair:
        if index >= len(self):
            raise IndexError(index)
        return self.pair(index)

    def pair(self, index: int) -> Pair:
        image = torch.full((3, 8, 12), 10 * index, dtype=torch.uint8)
        return Pair(image, image, f"pair{index}")


class Squares:
    """A sound dataset.

    path: of nothing in particular; it must exist.
    """

    part: type[Part] = Part
    a, b = Side(), Side()

    def __init__(self, *, path: Path) -> None:
        if not path.exists():
            raise UserError(f"{path} does not exist.")

    def splits(self) -> tuple[str, ...]:
        return ("train",)

    def split(self, name: str) -> Part:
        if name not in self.splits():
            raise UserError(f"there is no split {name!r}.")
        return self.part()


HERE = {"path": str(Path(__file__).parent)}


def of(change: Callable[[int], Pair], **sides: Side) -> type:
    """A dataset with other pairs."""
    part = type("Other", (Part,), {"pair": lambda self, index: change(index)})
    return type("Broken", (Squares,), {"part": part, **sides})


def image(channels: int = 3, height: int = 8, width: int = 12, dtype: Any = torch.uint8) -> Tensor:
    return torch.zeros(channels, height, width).to(dtype)


def test_the_sound_one_passes() -> None:
    results = conformance("dataset", Squares, params=HERE, skip=SKIP)
    assert {r.status for r in results} == {"passed", "skipped"}


def test_splits(fails: Fails) -> None:
    none = type("None_", (Squares,), {"splits": lambda self: ()})
    listed = type("Listed", (Squares,), {"splits": lambda self: ["train"]})
    test = type("Test", (Squares,), {"splits": lambda self: ("test",)})
    empty = type("Empty", (Squares,), {"split": lambda self, name: []})
    assert "give a tuple of names" in fails("splits", "dataset", none, params=HERE)
    assert "give a tuple of names" in fails("splits", "dataset", listed, params=HERE)
    assert "no 'train' to train on" in fails("splits", "dataset", test, params=HERE)
    assert "split 'train' is empty" in fails("splits", "dataset", empty, params=HERE)


def test_an_unknown_split(fails: Fails) -> None:
    def raises(self: Any, name: str) -> Part:
        return {"train": Part()}[name]

    obliging = type("Obliging", (Squares,), {"split": lambda self, name: Part()})
    raising = type("Raising", (Squares,), {"split": raises})
    said = fails("unknown-split", "dataset", obliging, params=HERE)
    assert "test never stands in for val" in said
    assert "stops with KeyError" in fails("unknown-split", "dataset", raising, params=HERE)


def test_no_sides(fails: Fails) -> None:
    sideless = type("Sideless", (Squares,), {"a": None})
    assert "set self.a = Side()" in fails("sides", "dataset", sideless, params=HERE)


@pytest.mark.parametrize(
    ("change", "sides", "sentence"),
    [
        (lambda i: (image(), image(), str(i)), {}, "is tuple: give Pair"),
        (lambda i: Pair._make([image(), image().numpy(), str(i), {}]), {}, "a target of ndarray"),
        (lambda i: Pair(image()[None], image(), str(i)), {}, "shape (1, 3, 8, 12): give C H W"),
        (lambda i: Pair(image(dtype=torch.int64), image(), str(i)), {}, "of torch.int64: give"),
        (lambda i: Pair(image(dtype=torch.float32), image(), str(i)), {}, "its Side no range"),
        (lambda i: Pair(image(1 + i % 2), image(), str(i)), {}, "channels must agree"),
        (
            lambda i: Pair(image(1) + 5, image(), str(i)),
            {"a": Side("labels", classes=3)},
            "has the class 5 in its source, and its Side 3 classes, 0 to 2",
        ),
        (
            lambda i: Pair(image(3), image(), str(i)),
            {"a": Side("labels", classes=3)},
            "give 1 H W of whole class numbers",
        ),
    ],
)
def test_pairs(fails: Fails, change: Any, sides: dict[str, Side], sentence: str) -> None:
    assert sentence in fails("pairs", "dataset", of(change, **sides), params=HERE)


def test_sides_of_other_proportions(fails: Fails, ended: Callable[..., Result]) -> None:
    wide = of(lambda i: Pair(image(), image(width=20), str(i)))
    twice = of(lambda i: Pair(image(), image(height=16, width=24), str(i)))
    masked = of(lambda i: Pair(image(), image(), str(i), {"mask": image(1, 4, 4)}))
    said = fails("aligned", "dataset", wide, params=HERE)
    assert "a source of 8x12 and a target of 8x20 pixels" in said
    assert "differ in scale" in ended("aligned", "dataset", twice, params=HERE).sentence
    said = fails("aligned", "dataset", masked, params=HERE)
    assert "an extra 'mask' of 1x4x4: give C H W on the pair's own grid" in said


def test_batches(fails: Fails, ended: Callable[..., Result]) -> None:
    negative = of(
        lambda i: Pair(image(1, dtype=torch.int16) - 1, image(), str(i)),
        a=Side("labels", classes=3),
    )
    said = fails("feeds", "dataset", negative, params=HERE)
    assert "has pixels without a class: its Side must count every class" in said
    sound = ended("feeds", "dataset", Squares, params=HERE)
    assert sound.sentence == "2x3x32x48 to 2x3x32x48"


def test_names(fails: Fails) -> None:
    same = of(lambda i: Pair(image(), image(), "same"))
    other = of(lambda i: Pair(image(), image(), str(i)))
    other.part.names = ("a", "b", "c")  # type: ignore[attr-defined]
    sized = of(lambda i: Pair(image(), image(), str(i)))
    sized.part.sizes = lambda self: ((12, 8),) * 3  # type: ignore[attr-defined]
    assert "both called 'same'" in fails("names", "dataset", same, params=HERE)
    assert "names[0] of 'train' is 'a'" in fails("names", "dataset", other, params=HERE)
    assert "give (height, width)" in fails("names", "dataset", sized, params=HERE)


def test_pairs_that_change(fails: Fails) -> None:
    draws = of(lambda i: Pair(image() + random.randrange(256), image(), str(i)))
    assert "another when asked for again" in fails("deterministic", "dataset", draws, params=HERE)


def test_no_end(fails: Fails) -> None:
    class Endless(Part):
        def __getitem__(self, index: int) -> Pair:
            return self.pair(index)

    endless = type("Endless", (Squares,), {"part": Endless})
    assert "beyond its end: raise IndexError" in fails("ends", "dataset", endless, params=HERE)


def test_what_can_not_travel(fails: Fails) -> None:
    local = of(lambda i: Pair(image(), image(), str(i)))
    said = fails("worker-processes", "dataset", local, params=HERE)
    assert "can't be sent to a worker process" in said


class Careless(Squares):
    """Does not look."""

    def __init__(self, *, path: Path) -> None:
        pass


class Raises(Squares):
    """Leaves it to Python."""

    def __init__(self, *, path: Path) -> None:
        list(path.iterdir())


class Mumbles(Squares):
    """Does not say which."""

    def __init__(self, *, path: Path) -> None:
        if not path.exists():
            raise UserError("no data.")


def test_a_bad_path(fails: Fails, ended: Callable[..., Result]) -> None:
    assert "says nothing of a path" in fails("bad-path", "dataset", Careless, params=HERE)
    assert "stops with FileNotFoundError" in fails("bad-path", "dataset", Raises, params=HERE)
    assert "does not name it" in fails("bad-path", "dataset", Mumbles, params=HERE)
    given = ended("bad-path", "dataset", Squares, params=HERE, bad={"path": "/no/such/place"})
    assert given.sentence == "/no/such/place does not exist."


def test_a_dataset_without_a_path_needs_to_be_told(ended: Callable[..., Result]) -> None:
    assert ended("bad-path", "dataset", "demo").status == "skipped"
