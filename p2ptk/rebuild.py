"""Whether a network that is being built gets all its weights from a file right after."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_rebuilding: ContextVar[bool] = ContextVar("p2ptk_rebuilding", default=False)


@contextmanager
def rebuilding(really: bool = True) -> Iterator[None]:
    """Build networks only to load every one of their tensors: from a model file, a checkpoint."""
    token = _rebuilding.set(really)
    try:
        yield
    finally:
        _rebuilding.reset(token)


def weights_follow() -> bool:
    """Whether the network that is being built is about to be given all its weights.

    A component asks this when it is built, before it fetches or reads pretrained weights: where it
    is true they would be thrown away, and need not be on this machine. What its parameters decide
    (names and shapes of tensors, what is frozen) must be the same either way.

        if pretrained and not p2ptk.weights_follow():
            self.load_state_dict(fetch())
    """
    return _rebuilding.get()
