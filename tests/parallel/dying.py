"""A loss that kills its process, the second one, in the first attempt at a run."""

from __future__ import annotations

import os
import signal
from typing import Any

import p2ptk


class Dying:
    """As L1; at one step the process of rank 1 is killed, unless torchrun has started it anew."""

    def __init__(self, *, at: int = 3) -> None:
        self.at = at

    def generator(self, t: Any) -> Any:
        first = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0"
        if t.step == self.at and os.environ.get("RANK") == "1" and first:
            os.kill(os.getpid(), signal.SIGKILL)
        return (t.fake - t.target).abs().mean()


@p2ptk.hookimpl
def p2ptk_losses() -> list[Any]:
    return [p2ptk.Component("dying", Dying, summary="kills its process")]
