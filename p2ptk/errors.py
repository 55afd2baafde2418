"""The errors that a user meets, and the exit code each stands for."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class P2ptkError(Exception):
    """Something went wrong that one sentence explains; the command line exits with `exit_code`."""

    exit_code = 1


class UserError(P2ptkError):
    """The input is wrong: the message says what, where, and the nearest valid choice."""

    exit_code = 2


class Unavailable(P2ptkError):
    """A part can't be had here: its weights or its package are missing; the rest goes on."""


class Elsewhere(P2ptkError):
    """Another process of the same run failed and says why; this one ends without a word."""

    exit_code = 0


class Diverged(P2ptkError):
    """A loss or weight became NaN or infinite; the last good checkpoint is kept."""

    exit_code = 4


def did_you_mean(word: str, choices: Iterable[str], *, many: int = 12) -> str:
    """The end of a sentence about an unknown word: the nearest choice, or the choices.

    >>> did_you_mean("unett", ["unet", "resnet"])
    "did you mean 'unet'?"
    """
    choices = sorted(set(choices))
    near = difflib.get_close_matches(word, choices, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    if not choices:
        return "there is none to choose from."
    listed = ", ".join(choices[:many]) + (", ..." if len(choices) > many else "")
    return f"choose from {listed}."
