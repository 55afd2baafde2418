"""Fair measurements: everything takes short turns, in rounds, so that a busy machine slows all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Clock = Callable[[], float]


class Racer(Protocol):
    """What is measured: it takes steps, and may have taken none for a while."""

    @property
    def waited(self) -> float:
        """Seconds that it has waited for data so far."""

    def enter(self) -> None:
        """Its turn begins: set what holds for the whole process."""

    def step(self) -> Any: ...

    def finish(self) -> Any:
        """Wait until the device is done."""


@dataclass
class Turns:
    """Seconds a step in each turn, and seconds a step that it waited for data."""

    seconds: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def race(
    racers: Mapping[str, Racer],
    rounds: int,
    turn_seconds: float,
    *,
    done: Callable[[], object] = lambda: None,
    clock: Clock = time.perf_counter,
) -> dict[str, Turns]:
    """Give each a turn in every round. They should be warm.

    A turn is as many steps as take `turn_seconds` and at least one, after one that is not counted:
    caches belong to whoever came before. done: told after each turn.
    """
    turns = {name: Turns() for name in racers}
    for _ in range(rounds):
        for name, racer in racers.items():
            racer.enter()
            began = clock()
            racer.step()
            racer.finish()
            steps = max(1, min(500, round(turn_seconds / max(clock() - began, 1e-9))))
            waited, began = racer.waited, clock()
            for _ in range(steps):
                racer.step()
            racer.finish()
            turns[name].seconds.append((clock() - began) / steps)
            turns[name].waits.append((racer.waited - waited) / steps)
            done()
    return turns


def times_faster(slow: Sequence[float], fast: Sequence[float]) -> float:
    """How many times faster: the median over rounds of the ratio in each round."""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))
