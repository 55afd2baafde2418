"""Decoded pairs in a few large tensors."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from p2ptk.contracts import Pair
from p2ptk.errors import UserError
from p2ptk.pairs.decode import decode_each, decoded_bytes
from p2ptk.pairs.packed import Memory, pack


class Growing:
    """Pairs that grow, whose split does not say so; `single` ones hold one picture."""

    def __init__(self, single: bool = False, odd: int | None = None) -> None:
        self.single, self.odd = single, odd

    def __len__(self) -> int:
        return 9

    def __getitem__(self, index: int) -> Pair:
        source = torch.full((2, 3, 4 + 2 * index), index, dtype=torch.uint8)
        target = source if self.single and index != self.odd else source.to(torch.uint16) * 300
        extra = {"a": source[:1].float(), "b": source[1:]}
        return Pair(
            source, target, f"{index}", extra if index % 2 else dict(reversed(extra.items()))
        )


def same(x: Pair, y: Pair) -> bool:
    return (
        torch.equal(x.source, y.source)
        and torch.equal(x.target, y.target)
        and x.target.dtype == y.target.dtype
        and x.name == y.name
        and x.extra.keys() == y.extra.keys()
        and all(torch.equal(x.extra[k], y.extra[k]) for k in x.extra)
    )


@pytest.mark.parametrize("single", [False, True])
def test_more_than_expected_fits(single: bool) -> None:
    split = Growing(single)
    seen: list[tuple[int, int]] = []
    packed = pack(split, Memory, 3, lambda done, of: seen.append((done, of)))
    assert packed.single is single
    assert all(same(packed[i], split[i]) for i in range(9))
    assert seen == [(i, 9) for i in range(1, 10)]
    pixels = sum(3 * (4 + 2 * i) for i in range(9))
    assert packed.nbytes == pixels * (2 + (0 if single else 4) + 4 + 1)
    with pytest.raises(IndexError):
        packed[9]


def test_one_pair_among_pictures_is_refused() -> None:
    with pytest.raises(UserError, match="pair '4' has two sides, but others are single pictures"):
        pack(Growing(single=True, odd=4))


@pytest.mark.parametrize("workers", [0, 1, 5])
def test_pairs_come_in_the_order_asked_for(workers: int) -> None:
    asked = [3, 1, 8, 1, 0]
    assert [pair.name for pair in decode_each(Growing(), asked, workers)] == [
        "3",
        "1",
        "8",
        "1",
        "0",
    ]
    assert list(decode_each(Growing(), [], workers)) == []


def test_decoding_stays_a_little_ahead() -> None:
    asked: list[int] = []

    class Watched(Growing):
        def __len__(self) -> int:
            return 1000

        def __getitem__(self, index: int) -> Pair:
            asked.append(index)
            return super().__getitem__(index % 9)

    coming = decode_each(Watched(), range(1000), 2)
    next(coming)
    coming.close()  # type: ignore[attr-defined]
    assert len(asked) < 20


def test_what_pairs_will_take_is_told_beforehand() -> None:
    class Sized(Growing):
        def sizes(self) -> Any:
            return tuple((3, 4 + 2 * i) for i in range(9))

    for single in (False, True):
        assert decoded_bytes(Sized(single)) == pack(Sized(single)).nbytes
    assert decoded_bytes(Growing()) == 9 * 12 * (2 + 4 + 4 + 1)
