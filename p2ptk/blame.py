"""Says whose code it was: an error in a component, or a switch of torch that one has changed."""

from __future__ import annotations

import math
import random
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from p2ptk.errors import Diverged, P2ptkError

if TYPE_CHECKING:
    from p2ptk.checkpoint import Checkpoint

_NOBODY = ("", "builtins", "p2ptk", "torch")  # packages whose classes tell of no plugin


class Blamed(P2ptkError):
    """The code of a component is at fault; the message names the component."""


@contextmanager
def switches_kept(what: str) -> Iterator[None]:
    """Put torch's switches back where building a component changed one.

    what: names it. Raises Blamed where it did.
    """
    before = _switches()
    yield
    after = _switches()
    changed = [name for name in before if before[name] != after[name]]
    if changed:
        torch = sys.modules["torch"]
        torch.set_default_dtype(before["default dtype"])
        torch.set_grad_enabled(before["gradients"])
        name = changed[0]
        raise Blamed(
            f"{what} changes torch's {name} from {before[name]} to {after[name]} for the whole "
            "process: it has to leave it as it is."
        )


class Watched:
    """What a run's parts must leave alone: torch's switches, and others' random numbers."""

    def __init__(self, note: Callable[[str], object]) -> None:
        self.note, self.switches, self.numbers = note, _switches(), _numbers()

    def look(self, step: int) -> None:
        """Raises Blamed for a switch that was changed; a generator that was used is noted once."""
        for name, now in _switches().items():
            if now != self.switches[name]:
                raise Blamed(
                    f"by step {step} a part of the run has changed torch's {name} from "
                    f"{self.switches[name]} to {now} for the whole process: `p2ptk check` finds "
                    "which plugin does."
                )
        for library, state in _numbers().items():
            if self.numbers.get(library, state) != state:
                self.note(
                    f"a part of the run draws from {library}'s global generator, which no seed of "
                    "the run reaches: a resumed run will not repeat it"
                )
                self.numbers.pop(library)


@contextmanager
def named(parts: Mapping[str, Any], step: Callable[[], int]) -> Iterator[None]:
    """Name the component whose code raised something.

    parts: objects by what to call them. step: the one that the run is at.
    Raises Blamed in place of errors that came from the package of one; others pass.
    """
    try:
        yield
    except (P2ptkError, MemoryError):
        raise
    except Exception as error:
        from p2ptk.device import lacks_memory  # not above: what lists components needs no torch

        who = _whose(error, parts)
        if who is None or "out of memory" in str(error) or lacks_memory(error):
            raise
        reason = str(error).strip().splitlines()
        raise Blamed(
            f"{who} failed at step {step()}: {type(error).__name__}"
            + (f": {reason[0]}" if reason else "")
            + " (-v shows where)"
        ) from error


def diverged(
    step: int, means: Mapping[str, float], pairs: Sequence[str], kept: Checkpoint | None, what: str
) -> Diverged:
    """What to raise at a step that gave no numbers: which terms, of which pairs, and what is left.

    means: of the losses. kept: the newest checkpoint. what: it was, where all losses are finite.
    """
    terms = [k for k, v in means.items() if not math.isfinite(v) and not k.endswith("_loss")]
    return Diverged(
        f"step {step}: {', '.join(terms) or what} is not finite (pairs: {', '.join(pairs[:4])}). "
        + (f"Step {kept.step} is kept in {kept.folder}. " if kept else "")
        + "Lower train.lr, or try --precision fp32."
    )


def _whose(error: Exception, parts: Mapping[str, Any]) -> str | None:
    """The part whose package the innermost line of the traceback that is anyone's belongs to."""
    owners: dict[str, list[str]] = {}
    for name, part in parts.items():
        package = type(part).__module__.partition(".")[0]
        if package not in _NOBODY:
            owners.setdefault(package, []).append(name)
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if package in owners:
            return " or ".join(owners[package])
    return None


def _switches() -> dict[str, Any]:
    torch = sys.modules.get("torch")
    if torch is None:
        return {}
    found = {"default dtype": torch.get_default_dtype(), "gradients": torch.is_grad_enabled()}
    if torch.cuda.is_initialized():
        found["CUDA device"] = torch.cuda.current_device()
    return found


def _numbers() -> dict[str, int]:
    """A sum of each library's generator."""
    found = {"Python": hash(random.getstate())}
    if numpy := sys.modules.get("numpy"):
        _, keys, position, *_ = numpy.random.get_state()
        found["numpy"] = hash((keys.tobytes(), position))
    return found
