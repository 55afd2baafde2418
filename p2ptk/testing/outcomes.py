"""How a check ends."""

from __future__ import annotations

import unittest
from dataclasses import dataclass
from typing import Literal, Protocol

from p2ptk.errors import P2ptkError

NOT_MADE = "not made, since"  # begins the sentence of a check that another one rules out

Status = Literal["passed", "failed", "warning", "skipped"]


class Checked(Protocol):
    """What is checked: a component or a plugin. name: what sentences call it."""

    kind: str
    label: str

    @property
    def name(self) -> str: ...


class Failed(AssertionError):
    """A component does not keep its contract; the message says what to change."""


class Skipped(unittest.SkipTest):
    """A check that can't be made here; the message says why. pytest skips a test that raises it."""


class Warned(Exception):
    """Advice that does not fail a component."""


@dataclass(frozen=True)
class Result:
    """How one check of one component ended; `sentence` says what to change, or what was seen."""

    kind: str
    component: str
    check: str
    status: Status
    sentence: str = ""
    seconds: float = 0.0


def told(error: BaseException) -> str:
    """An error's words without a full stop; with its type unless it is p2ptk's own."""
    words = " ".join(str(error).split()).rstrip(".")
    if isinstance(error, (P2ptkError, Failed)):
        return words
    return f"{type(error).__name__}: {words[:300]}" if words else type(error).__name__
