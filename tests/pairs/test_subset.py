"""Validation pairs that are drawn from the training pairs."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from p2ptk.config import RunConfig
from p2ptk.contracts import Pair, Side
from p2ptk.data import build_data, need_split
from p2ptk.errors import UserError
from p2ptk.pairs.subset import Subset, drawn, names_of, share_of, without_val


class Numbered:
    """Pairs that hold their own number."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.names = tuple(f"pair-{i}" for i in range(count))

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Pair:
        image = torch.full((1, 2, 2), index, dtype=torch.uint8)
        return Pair(image, image + 1, self.names[index])

    def sizes(self) -> tuple[tuple[int, int], ...]:
        return tuple((2, 2 + i) for i in range(self.count))


class TrainOnly:
    a = b = Side()

    def splits(self) -> tuple[str, ...]:
        return ("train",)

    def split(self, name: str) -> Numbered:
        return Numbered(20)


@given(st.integers(2, 200), st.integers(0, 5))
def test_a_tenth_and_never_all(count: int, seed: int) -> None:
    chosen = drawn([f"n{i}" for i in range(count)], seed=seed)
    assert len(chosen) == max(1, round(count / 10))
    assert chosen < set(range(count))


def test_the_choice_goes_by_names() -> None:
    names = [f"n{i}" for i in range(50)]
    forwards = {names[i] for i in drawn(names)}
    assert {names[::-1][i] for i in drawn(names[::-1])} == forwards


def test_every_pair_is_on_one_side() -> None:
    train, val = without_val(Numbered(20))
    assert (len(train), len(val)) == (18, 2)
    seen = [int(part[i].source[0, 0, 0]) for part in (train, val) for i in range(len(part))]
    assert sorted(seen) == list(range(20))


def test_optional_members_follow() -> None:
    part = pickle.loads(pickle.dumps(Subset(Numbered(5), (1, 3))))
    assert part.names == ("pair-1", "pair-3")
    assert part.sizes() == ((2, 3), (2, 5))
    assert not hasattr(part, "files")
    assert not hasattr(Subset([Numbered(1)[0]], (0,)), "names")  # type: ignore[arg-type]


def test_a_dataset_without_val_gives_one() -> None:
    assert len(need_split(TrainOnly(), "val")) == 2
    assert len(need_split(TrainOnly(), "train")) == 18
    with pytest.raises(UserError, match="no split 'test'"):
        need_split(TrainOnly(), "test")


@given(st.integers(1, 200), st.floats(0.01, 1), st.floats(0.01, 1))
def test_a_smaller_share_is_part_of_a_larger_one(count: int, one: float, other: float) -> None:
    split = Numbered(count)
    small, large = (share_of(split, share) for share in sorted((one, other)))
    assert len(small) == max(1, round(count * min(one, other)))
    pairs = [int(large[i].source[0, 0, 0]) for i in range(len(large))]
    assert pairs == sorted(pairs)
    assert {int(small[i].source[0, 0, 0]) for i in range(len(small))} <= set(pairs)


def test_a_run_learns_from_its_share(pairs: Path) -> None:
    layers = {"data": {"name": "side-by-side", "path": str(pairs)}, "size": 32}
    whole, third = (
        build_data(RunConfig.of(layers, {"train_share": share})) for share in (1.0, 1 / 3)
    )
    assert (len(whole.train), len(third.train)) == (9, 3)
    assert len(third.val) == len(whole.val)
    assert set(names_of(third.train)) < set(names_of(whole.train))
