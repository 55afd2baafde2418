"""Turns and ratios, on a clock that is made up."""

from __future__ import annotations

import pytest

from p2ptk.bench.measure import race, times_faster


class Time:
    """A clock that only racers move."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Fake:
    """A step takes `seconds`, a quarter of it waiting; the first of a turn takes twice that."""

    def __init__(self, name: str, seconds: list[float], time: Time, log: list[str]) -> None:
        self.name, self.seconds, self.time, self.log = name, seconds, time, log
        self.waited, self.turn, self.cold = 0.0, -1, True

    def enter(self) -> None:
        self.turn, self.cold = self.turn + 1, True
        self.log.append(self.name)

    def step(self) -> None:
        seconds = self.seconds[self.turn]
        self.waited += seconds / 4
        self.time.now += seconds * (2 if self.cold else 1)
        self.cold = False

    def finish(self) -> None:
        pass


def test_all_take_turns_and_the_first_step_does_not_count() -> None:
    time, log = Time(), list[str]()
    slow = Fake("slow", [3.0, 4.0, 5.0], time, log)
    fast = Fake("fast", [1.0, 2.0, 1.0], time, log)
    told: list[int] = []
    turns = race(
        {"slow": slow, "fast": fast}, 3, 10.0, done=lambda: told.append(len(log)), clock=time
    )
    assert log == ["slow", "fast"] * 3
    assert told == [1, 2, 3, 4, 5, 6]
    assert turns["slow"].seconds == pytest.approx([3.0, 4.0, 5.0])
    assert turns["fast"].seconds == pytest.approx([1.0, 2.0, 1.0])
    assert turns["fast"].waits == pytest.approx([0.25, 0.5, 0.25])
    assert turns["slow"].median == 4.0


def test_a_turn_is_as_long_as_asked_for_and_never_empty() -> None:
    time, log = Time(), list[str]()
    quick, slow = Fake("quick", [0.5], time, log), Fake("slow", [100.0], time, log)
    race({"quick": quick, "slow": slow}, 1, 10.0, clock=time)
    assert quick.waited == pytest.approx(0.125 * (1 + 10))
    assert slow.waited == pytest.approx(25.0 * 2)


def test_times_faster_pairs_the_rounds() -> None:
    """A machine that was busy in the second round slowed both."""
    assert times_faster([2.0, 20.0, 2.0], [1.0, 10.0, 1.0]) == 2.0
    assert times_faster([2.0, 3.0, 2.0], [1.0, 1.0, 4.0]) == 2.0
    with pytest.raises(ValueError, match="zip"):
        times_faster([1.0], [1.0, 2.0])
