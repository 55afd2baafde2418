"""A loss that kills its process, the second of two, in the first attempt at a run."""

from __future__ import annotations

import os
import signal
from typing import Any

import p2ptk


class Dying:
    """As L1; at one step the second of two processes is killed, unless torchrun started it anew."""

    def __init__(self, *, at: int = 3) -> None:
        self.at = at

    def generator(self, t: Any) -> Any:
        first = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0"
        second = (os.environ.get("RANK"), os.environ.get("WORLD_SIZE")) == ("1", "2")
        if t.step == self.at and second and first:
            os.kill(os.getpid(), signal.SIGKILL)
        return (t.fake - t.target).abs().mean()


@p2ptk.hookimpl
def p2ptk_losses() -> list[Any]:
    return [p2ptk.Component("dying", Dying, summary="kills its process")]
