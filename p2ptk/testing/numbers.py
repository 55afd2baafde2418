"""The global generators of random numbers, of the libraries that are loaded."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


def states() -> dict[str, Any]:
    """By library, as something that can be compared."""
    found: dict[str, Any] = {"random": random.getstate()}
    if "numpy" in sys.modules:
        import numpy as np

        found["numpy"] = [str(part) for part in np.random.get_state()]  # noqa: NPY002
    if "torch" in sys.modules:
        import torch

        found["torch"] = torch.get_rng_state().tolist()
    return found


def moved_by(call: Callable[[], Any]) -> str:
    """The library whose generator a call draws from, or nothing."""
    before = states()
    call()
    after = states()
    return next((library for library in before if before[library] != after[library]), "")


@contextmanager
def own_numbers() -> Iterator[None]:
    """Seed every generator with 0, and put its state back afterwards."""
    before: list[tuple[Callable[[Any], Any], Any]] = [(random.setstate, random.getstate())]
    random.seed(0)
    if "numpy" in sys.modules:
        import numpy as np

        before.append((np.random.set_state, np.random.get_state()))  # noqa: NPY002
        np.random.seed(0)  # noqa: NPY002
    if "torch" in sys.modules:
        import torch

        before.append((torch.set_rng_state, torch.get_rng_state()))
        if torch.cuda.is_initialized():
            before.append((torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all()))
        torch.manual_seed(0)
    try:
        yield
    finally:
        for put_back, state in before:
            put_back(state)
