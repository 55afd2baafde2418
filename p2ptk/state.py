"""Training state as named groups of tensors, the form in which a checkpoint keeps it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError
from torch import Tensor, nn

from p2ptk.checkpoint import Checkpoint, optimizer_tensors, restore_optimizer
from p2ptk.errors import UserError
from p2ptk.optim import Average, Updater
from p2ptk.schema import explain
from p2ptk.step import Networks, Term
from p2ptk.tensors import shape_of

# Names among the extras, beside the losses' keys.
POOL = "train.pool"
WATCHING = "augmentations"


class Kept(BaseModel):
    """The best weights' metric, value and step, as a checkpoint keeps them."""

    metric: str
    value: float
    step: int


class Progress(BaseModel, strict=True):
    """What a checkpoint's JSON tells a resumed run. log_length: bytes of metrics.jsonl."""

    step: Annotated[int, Field(ge=0)]
    seconds: Annotated[float, Field(ge=0)]
    log_length: Annotated[int, Field(ge=0)]
    scalers: dict[str, dict[str, float]]
    best: Kept | None = None

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Progress:
        """Raises UserError where the checkpoint holds something else."""
        try:
            return cls.model_validate(checkpoint.state)
        except ValidationError as error:
            raise UserError(
                f"{checkpoint.folder} can't be gone on from: {explain(error)}"
            ) from None


def training_tensors(
    networks: Networks, losses: Sequence[Term], average: Average | None
) -> dict[str, dict[str, Tensor]]:
    """All tensors that a resumed run needs, of networks, average, optimisers and others."""
    groups = {name: module.state_dict() for name, module in _modules(networks, average)}
    groups["optimizers"] = {
        f"{side}/{name}": tensor
        for side, updater in _updaters(networks)
        for name, tensor in optimizer_tensors(updater.optimizer, updater.parameters.items()).items()
    }
    groups["extras"] = {
        f"{key}/{name}": tensor
        for key, module in _others(networks, losses)
        for name, tensor in module.state_dict().items()
    }
    if networks.pool is not None:
        groups["extras"] |= {f"{POOL}/{k}": v for k, v in networks.pool.tensors().items()}
    return groups


def restore_tensors(
    checkpoint: Checkpoint, networks: Networks, losses: Sequence[Term], average: Average | None
) -> None:
    """Put a checkpoint's tensors back. Raises UserError for the first that does not fit."""
    for name, module in _modules(networks, average):
        _load(module, checkpoint.load(name), f"{name} of {checkpoint.folder}")
    moments = checkpoint.load("optimizers")
    for side, updater in _updaters(networks):
        restore_optimizer(updater.optimizer, updater.parameters.items(), _under(side, moments))
        try:
            updater.scaler.load_state_dict(checkpoint.state["scalers"][side])
        except (KeyError, RuntimeError):
            raise UserError(f"{checkpoint.folder} has no gradient scale of {side!r}.") from None
    extras = checkpoint.load("extras")
    for key, module in _others(networks, losses):
        _load(module, _under(key, extras), f"{key!r} in the extras of {checkpoint.folder}")
    if networks.pool is not None:
        device = next(networks.generator.parameters()).device
        networks.pool.restore(_under(POOL, extras), device)


def scaler_states(networks: Networks) -> dict[str, dict[str, Any]]:
    """The gradient scalers' numbers, for the checkpoint's JSON."""
    return {side: updater.scaler.state_dict() for side, updater in _updaters(networks)}


def _modules(networks: Networks, average: Average | None) -> Iterator[tuple[str, nn.Module]]:
    yield "generator", networks.generator
    if networks.discriminator is not None:
        yield "discriminator", networks.discriminator
    if average is not None:
        yield "ema", average.module


def _updaters(networks: Networks) -> Iterator[tuple[str, Updater]]:
    yield "g", networks.g
    if networks.d is not None:
        yield "d", networks.d


def _others(networks: Networks, losses: Sequence[Term]) -> Iterator[tuple[str, nn.Module]]:
    """Losses that are modules, and the states of augmentations that watch the discriminator."""
    for term in losses:
        if isinstance(term.loss, nn.Module):
            yield term.key, term.loss
    for key, augmentation in networks.watching.items():
        yield f"{WATCHING}.{key}", augmentation.state


def _under(start: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    prefix = f"{start}/"
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _load(module: nn.Module, tensors: Mapping[str, Tensor], what: str) -> None:
    mine = module.state_dict()
    for name in mine.keys() | tensors.keys():
        if name not in tensors or name not in mine or mine[name].shape != tensors[name].shape:
            sizes = [shape_of(t[name]) if name in t else "missing" for t in (tensors, mine)]
            raise UserError(f"{what}: {name!r} is {sizes[0]} there and {sizes[1]} here.")
    module.load_state_dict(dict(tensors))
