"""Ctrl-C, SIGTERM and time limits: finish the step, then stop."""

from __future__ import annotations

import re
import signal
import threading
import time
from types import FrameType, TracebackType

from p2ptk.errors import UserError


class Interrupts:
    """A context in which signals ask for a stop instead of killing the process.

    `reason` says why to stop, or is empty. The second Ctrl-C raises KeyboardInterrupt at once.
    SIGTERM and SIGUSR1 are what queues send before the time is up.
    """

    def __init__(self, max_seconds: float | None = None) -> None:
        self.deadline = time.monotonic() + max_seconds if max_seconds is not None else None
        self._reason = ""
        self._old: dict[int, object] = {}

    @property
    def reason(self) -> str:
        if not self._reason and self.deadline is not None and time.monotonic() >= self.deadline:
            self._reason = "the time given by --max-time is up"
        return self._reason

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for name in ("SIGINT", "SIGTERM", "SIGUSR1"):
                number = getattr(signal, name, None)  # Windows has no SIGUSR1
                if number is not None:
                    self._old[number] = signal.signal(number, self._ask)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self._reason:
            raise KeyboardInterrupt
        self._reason = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name


def seconds(text: str) -> float:
    """A duration: `90`, `45s`, `30m`, `3h50m`, `1d` or `3:50:00`, in seconds.

    >>> seconds("3h50m")
    13800.0

    Raises UserError for anything else.
    """
    if re.fullmatch(r"\d+(:\d{1,2}){1,2}", text):
        parts = [int(part) for part in text.split(":")]
        return float(sum(n * 60**i for i, n in enumerate(reversed(parts))))
    match = re.fullmatch(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?", text.strip())
    if not match or not text.strip():
        raise UserError(f"{text!r} is no duration: write 90, 45s, 30m or 3h50m.")
    days, hours, minutes, rest = (float(group or 0) for group in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


def clock(duration: float) -> str:
    """Seconds for people: `48 s`, `3 min 20 s`, `2 h 05 min`, `3 d 04 h`."""
    whole = round(duration)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600:02d} h"
