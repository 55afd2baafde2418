from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2ptk.pairs.order import Blocks, Order


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**40), length=st.integers(1, 30), epoch=st.integers(0, 1000))
def test_every_epoch_is_a_permutation(seed: int, length: int, epoch: int) -> None:
    order = Order(seed, length)
    numbers = range(epoch * length, (epoch + 1) * length)
    assert sorted(order(number) for number in numbers) == list(range(length))


def test_it_can_be_read_anywhere() -> None:
    straight = [Order(7, 5)(number) for number in range(40)]
    one = Order(7, 5)
    assert [one(number) for number in range(40)] == straight
    assert [one(number) for number in reversed(range(40))] == straight[::-1]
    assert Order(7, 5)(33) == straight[33]


def test_epochs_and_seeds_differ() -> None:
    first = [Order(0, 50)(n) for n in range(50)]
    assert first != [Order(0, 50)(n) for n in range(50, 100)]
    assert first != [Order(1, 50)(n) for n in range(50)]


def test_golden_order() -> None:
    """The order of existing runs stays as it is."""
    assert [Order(0, 6)(n) for n in range(12)] == [0, 4, 1, 3, 5, 2, 2, 4, 5, 0, 1, 3]


def test_nothing_to_order() -> None:
    with pytest.raises(ValueError, match="nothing"):
        Order(0, 0)


lengths = st.lists(st.integers(1, 9), min_size=2, max_size=12)


@settings(max_examples=40, deadline=None)
@given(lengths, st.integers(1, 12), st.integers(0, 2**40), st.integers(0, 99))
def test_blocks_give_every_pair_once_an_epoch(
    lengths: list[int], window: int, seed: int, epoch: int
) -> None:
    order, length = Order(seed, sum(lengths), Blocks(lengths, window)), sum(lengths)
    numbers = range(epoch * length, (epoch + 1) * length)
    assert sorted(order(number) for number in numbers) == list(range(length))


@settings(max_examples=30, deadline=None)
@given(lengths, st.integers(1, 4), st.integers(0, 99), st.sampled_from([1, 2, 4]))
def test_blocks_whatever_processes_share_them(
    lengths: list[int], window: int, start: int, world: int
) -> None:
    """Each process reads its share of every batch of 4, from whichever step, in a new Order."""
    blocks, length = Blocks(lengths, window), sum(lengths)
    one = Order(3, length, blocks)
    straight = [one(number) for number in range(4 * start, 4 * start + 12)]
    share = 4 // world
    ranks = [Order(3, length, blocks) for _ in range(world)]
    shared = [
        ranks[rank](4 * step + rank * share + i)
        for step in range(start, start + 3)
        for rank in range(world)
        for i in range(share)
    ]
    assert shared == straight


def test_few_blocks_are_in_use_at_a_time() -> None:
    order = Order(0, 4000, Blocks([100] * 40, 4))
    seen = [order(number) // 100 for number in range(4000)]
    ends = {block: (seen.index(block), 3999 - seen[::-1].index(block)) for block in set(seen)}
    assert max(last - first for first, last in ends.values()) <= 500  # its own and four more
    in_use = [len(set(seen[at : at + 50])) for at in range(500, 3500, 50)]
    assert min(in_use) >= 4
    assert max(in_use) <= 6
    drawn = sorted(ends, key=lambda block: ends[block])
    assert drawn != sorted(drawn)
    assert len(drawn) == 40


def test_a_window_of_all_blocks_mixes_all() -> None:
    assert [Order(0, 6, Blocks([2, 4], 2))(n) for n in range(6)] == [0, 4, 1, 3, 5, 2]


def test_golden_order_of_blocks() -> None:
    """The order of existing runs stays as it is."""
    order = Order(0, 8, Blocks([3, 1, 2, 2], 2))
    assert [order(n) for n in range(16)] == [4, 5, 6, 7, 0, 2, 1, 3, 0, 1, 5, 2, 4, 6, 3, 7]


def test_blocks_of_another_length() -> None:
    with pytest.raises(ValueError, match="blocks of 3 pairs in a split of 4"):
        Order(0, 4, Blocks([1, 2], 1))
