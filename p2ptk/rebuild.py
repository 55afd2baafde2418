"""Whether a network that is being built gets all its weights from a file right after."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from p2ptk.errors import P2ptkError, UserError

if TYPE_CHECKING:
    from torch import Tensor, nn

_rebuilding: ContextVar[bool] = ContextVar("p2ptk_rebuilding", default=False)


@contextmanager
def rebuilding(really: bool = True) -> Iterator[None]:
    """Build networks only to load every one of their tensors: from a model file, a checkpoint."""
    token = _rebuilding.set(really)
    try:
        yield
    finally:
        _rebuilding.reset(token)


@contextmanager
def bounded_by(tensors: int) -> Iterator[None]:
    """Stop building a network that gets far more parameters than a file has tensors.

    Raises UserError then. Some layers make parameters only to replace them, hence the slack.
    """
    from torch.nn.modules.module import register_module_parameter_registration_hook

    most, made = 8 * tensors + 64, 0

    def count(module: object, name: str, parameter: object) -> None:
        nonlocal made
        made += 1
        if made > 2 * most:  # it is built twice
            raise UserError(f"it has over {most} parameters, and the file {tensors} tensors.")

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()


def without_memory(build: Callable[[], nn.Module]) -> dict[str, Tensor] | None:
    """The state of a network whose tensors have shapes alone; None where it can't be built so."""
    import torch

    try:
        with torch.device("meta"):
            return dict(build().state_dict())
    except P2ptkError:
        raise
    except Exception:
        return None


def weights_follow() -> bool:
    """Whether the network that is being built is about to be given all its weights.

    A component asks this when it is built, before it fetches or reads pretrained weights: where it
    is true they would be thrown away, and need not be on this machine. What its parameters decide
    (names and shapes of tensors, what is frozen) must be the same either way.

        if pretrained and not p2ptk.weights_follow():
            self.load_state_dict(fetch())
    """
    return _rebuilding.get()
