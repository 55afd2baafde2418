from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2ptk.pairs.order import Order


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
