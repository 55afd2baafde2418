"""Signals and durations."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2ptk.errors import UserError
from p2ptk.interrupts import Interrupts, clock, seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", 90),
        ("45s", 45),
        ("30m", 1800),
        ("3h50m", 13800),
        ("1d2h", 93600),
        ("3:50:00", 13800),
        ("5:30", 330),
    ],
)
def test_durations(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "soon", "3x", "-5m", "h"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(UserError, match="3h50m"):
        seconds(text)


@given(st.integers(0, 10**7))
def test_every_duration_can_be_said(duration: int) -> None:
    assert clock(duration)


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no such signals")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGUSR1"])
def test_a_signal_asks_once_and_a_second_ctrl_c_insists(name: str) -> None:
    number = getattr(signal, name)
    before = signal.getsignal(number)
    with Interrupts() as interrupts:
        assert interrupts.reason == ""
        os.kill(os.getpid(), number)
        assert interrupts.reason in ("Ctrl-C", name)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(number) is before


def test_the_time_runs_out() -> None:
    assert Interrupts(max_seconds=1000).reason == ""
    assert "--max-time" in Interrupts(max_seconds=0).reason
