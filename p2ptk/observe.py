"""What a run tells while it goes: a plain observer here, a live one in the command line."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path

from p2ptk.interrupts import clock


class Observer:
    """Told of a run's events, all of them on the main thread. This one says nothing."""

    def begin(self, step: int, total: int) -> None:
        """The run starts at `step` of `total`."""

    def stepped(self, step: int) -> None:
        """A step was taken; called often, must be quick."""

    def logged(self, step: int, values: Mapping[str, float], seconds_left: float) -> None:
        """Losses were read from the device."""

    def note(self, text: str) -> None:
        """One line for the user."""

    def decoding(self, done: int, total: int) -> None:
        """Images were decoded."""

    def sampled(self, step: int, path: Path) -> None:
        """A sample sheet was written."""

    def end(self) -> None:
        """The run is over, well or not."""


class Lines(Observer):
    """Plain lines on standard error, for logs and pipes: one a few seconds, not one a step."""

    def __init__(self) -> None:
        self.total = 0
        self._said = 0.0

    def begin(self, step: int, total: int) -> None:
        self.total = total

    def logged(self, step: int, values: Mapping[str, float], seconds_left: float) -> None:
        if step < self.total and time.monotonic() - self._said < 10:
            return
        self._said = time.monotonic()
        losses = "  ".join(f"{k} {v:.3f}" for k, v in values.items() if k in ("g_loss", "d_loss"))
        rate = f"{values.get('images_per_s', 0):.1f} images/s"
        epoch, left = f"epoch {values.get('epoch', 0):.1f}", f"{clock(seconds_left)} left"
        self._say(f"step {step}/{self.total}  {epoch}  {losses}  {rate}  {left}")

    def note(self, text: str) -> None:
        self._say(text)

    def sampled(self, step: int, path: Path) -> None:
        self._say(f"samples: {path}")

    def _say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)
