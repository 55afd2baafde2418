"""Validation pairs that are drawn from the training pairs."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from p2ptk.config import RunConfig
from p2ptk.contracts import Pair, Side
from p2ptk.data import build_data, need_split
from p2ptk.errors import UserError
from p2ptk.manifest import pairs_digest
from p2ptk.pairs.cache import Cache
from p2ptk.pairs.order import blocks_of
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


class InBlocks(Numbered):
    """Pairs in blocks, whose names are looked up one by one."""

    def __init__(self, lengths: list[int], window: int = 3) -> None:
        super().__init__(sum(lengths))
        self.lengths, self.window = lengths, window
        self.names = Names(sum(lengths))  # type: ignore[assignment]

    def blocks(self) -> tuple[list[int], int]:
        return self.lengths, self.window


class Names(Sequence[str]):
    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: Any) -> Any:
        assert isinstance(index, int), "asked for one by one"
        return f"pair-{index}"


@given(st.lists(st.integers(1, 9), min_size=10, max_size=40))
def test_of_many_blocks_whole_ones_are_set_aside(lengths: list[int]) -> None:
    split = InBlocks(lengths)
    train, val = without_val(split)
    told = [blocks_of(part) for part in (train, val)]
    assert all(told)
    assert sorted([*told[0].lengths, *told[1].lengths]) == sorted(lengths)  # type: ignore[union-attr]
    assert len(told[1].lengths) == max(1, round(len(lengths) / 10))  # type: ignore[union-attr]
    names = [*(part.names[i] for part in (train, val) for i in range(len(part)))]  # type: ignore[attr-defined]
    assert sorted(names) == sorted(f"pair-{i}" for i in range(len(split)))
    assert train[0].name == train.names[0]  # type: ignore[attr-defined]
    assert len(train.names[:2]) == min(2, len(train))  # type: ignore[attr-defined]


def test_of_few_blocks_pairs_are_set_aside() -> None:
    train, val = without_val(InBlocks([20, 10]))
    assert (len(train), len(val)) == (27, 3)
    lengths = [blocks_of(part).lengths for part in (train, val)]  # type: ignore[union-attr]
    assert [sum(both) for both in zip(*lengths, strict=True)] == [20, 10]
    assert blocks_of(Subset(Numbered(3), (0, 1))) is None


def test_a_share_of_blocks_is_in_blocks() -> None:
    part = share_of(InBlocks([30] * 4), 0.5)
    told = blocks_of(part)
    assert told is not None
    assert (sum(told.lengths), len(told.lengths), told.window) == (60, 4, 3)


def test_the_sum_over_names_is_that_of_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p2ptk.manifest.MOST_NAMES", 7)
    for count in (1, 6, 7, 8, 20):
        data = SimpleNamespace(train=Numbered(count))
        names = "\n".join(data.train.names)
        assert pairs_digest(data) == sha256(names.encode()).hexdigest()[:16]  # type: ignore[arg-type]


def test_what_comes_in_blocks_is_not_decoded_as_a_whole() -> None:
    class OfFiles(InBlocks):
        def files(self) -> tuple[Path, ...]:
            return (Path(__file__),)

    assert Cache({}, "x").key(OfFiles([2, 2])) is None
