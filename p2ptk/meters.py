"""What a run measures: losses gathered on the device and read now and then, and time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Sums:
    """Running means of a step's scalars."""

    def __init__(self) -> None:
        # A lazy term is not due on every step: sums and counts are kept by which terms there were.
        self._sums: dict[tuple[str, ...], Tensor] = {}
        self._counts: dict[tuple[str, ...], int] = {}

    def add(self, scalars: dict[str, Tensor]) -> None:
        """Add a step's; the tensors may be overwritten afterwards."""
        if not scalars:
            return
        names = tuple(scalars)
        values = torch.stack([value.detach().float() for value in scalars.values()])
        self._sums[names] = self._sums[names].add_(values) if names in self._sums else values
        self._counts[names] = self._counts.get(names, 0) + 1

    def means(self, over: Callable[[Tensor], Tensor] = lambda sums: sums) -> dict[str, float]:
        """Means since the last call, in one copy from the device; starts anew.

        A lazy term counts only the steps on which it was due. over: makes the mean over processes.
        """
        if not self._sums:
            return {}
        values = iter(over(torch.cat(list(self._sums.values()))).tolist())
        sums: dict[str, float] = {}
        counts: dict[str, int] = {}
        for names in self._sums:
            for name in names:
                sums[name] = sums.get(name, 0.0) + next(values)
                counts[name] = counts.get(name, 0) + self._counts[names]
        self._sums, self._counts = {}, {}
        return {name: sums[name] / counts[name] for name in sums}


class NonFinite:
    """The first step whose loss was not finite, and how many there were, kept on the device."""

    def __init__(self, device: torch.device) -> None:
        self._first = torch.full((), -1, dtype=torch.int64, device=device)
        self._count = torch.zeros_like(self._first)
        self._of = 0

    def note(self, finite: Tensor, step: int) -> None:
        bad = ~finite & (self._first < 0)
        self._first = torch.where(bad, torch.full_like(self._first, step), self._first)
        self._count += ~finite
        self._of += 1

    def since(self) -> tuple[int, int]:
        """How many there were since the last call, of how many; starts anew."""
        found = int(self._count), self._of
        self._first.fill_(-1)
        self._count.zero_()
        self._of = 0
        return found

    def first(self) -> int | None:
        """That step, or None. Waits for the device."""
        step = int(self._first)
        return None if step < 0 else step


def all_finite(*modules: nn.Module | None) -> bool:
    """Whether all weights are finite numbers. Waits for the device."""
    weights = [p for module in modules if module is not None for p in module.parameters()]
    return not weights or bool(torch.stack([torch.isfinite(p).all() for p in weights]).all())


class Stopwatch:
    """Seconds since a run was started or resumed, and those of them that went into training."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._aside = 0.0

    @property
    def passed(self) -> float:
        return time.monotonic() - self._began

    @property
    def training(self) -> float:
        return max(self.passed - self._aside, 1e-9)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Pictures, checkpoints: time that says nothing about the speed of training."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._aside += time.monotonic() - began
