"""From pairs on disk to batches on the device: float32, N C H W, in [-1, 1].

A batch is a function of the seed and the step. Two feeds give the same pixels: one keeps the whole
set decoded on the device, the other decodes in worker processes as it goes. Both resize and augment
on the device, in batch, by the same functions. The swap by direction happens here and nowhere else.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from p2ptk.contracts import Side, Split
from p2ptk.errors import UserError
from p2ptk.pairs.augment import Chain, KeyedAugmentation, Size
from p2ptk.pairs.batch import (
    Batch,
    Direction,
    Fitted,
    fit_decoded,
    fixed_batch,
    source_and_target,
)
from p2ptk.pairs.cache import Cache
from p2ptk.pairs.decode import Decoded, Progress, decoded_bytes, default_workers
from p2ptk.pairs.memory import free_memory
from p2ptk.pairs.order import Order
from p2ptk.pairs.packed import Memory, Packed, pack
from p2ptk.pairs.pixels import to_device
from p2ptk.pairs.store import fit_images
from p2ptk.pairs.stream import Ahead, Batches, Stream

__all__ = ["Batch", "Feed", "Plan", "ResidentFeed", "StreamedFeed", "fixed_batch", "make_feed"]

SHARE = 0.25  # of a device's free memory that the pairs may take
MOST_WORKERS = 8  # processes that decode, where the config leaves it open


@dataclass(frozen=True)
class Plan:
    """Which pairs a step has, and how they come.

    size: (height, width) of the batches. batch_size: over all ranks. Sample i of step s is number
    s * batch_size + i; rank r of `world` has the r-th of as many equal shares.
    """

    split: Split
    a: Side
    b: Side
    direction: Direction
    size: Size
    batch_size: int
    seed: int
    device: torch.device
    augmentations: Sequence[KeyedAugmentation] = ()
    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        if not len(self.split):
            raise UserError("there are no pairs to train on.")
        if self.batch_size % self.world:
            raise UserError(
                f"a batch of {self.batch_size} can't be shared equally by {self.world} processes."
            )

    def numbers(self, step: int) -> tuple[int, ...]:
        """The numbers of this rank's samples of a step."""
        share = self.batch_size // self.world
        first = step * self.batch_size + self.rank * share
        return tuple(range(first, first + share))


class Feed(ABC):
    """Batches by step.

    waited: seconds that the caller has spent in `batch` so far, for pairs that were not there yet
        and for resizing and augmenting. On a GPU that is more than its stall, since it goes on with
        what is queued.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.order = Order.of(plan.seed, plan.split)
        self.chain = Chain(plan.augmentations, plan.seed, plan.size)
        self.waited = 0.0

    def batch(self, step: int) -> Batch:
        """The batch of a step, counted from 0: the same whatever was asked for before."""
        started = time.perf_counter()
        plan, numbers = self.plan, self.plan.numbers(step)
        fitted = self._fitted(step)
        source, target = source_and_target(fitted, plan.a, plan.b, plan.direction)
        source, target, extra = self.chain(source, target, fitted.extra, numbers)
        self.waited += time.perf_counter() - started
        return Batch(source, target, extra, fitted.names, numbers)

    def indices(self, step: int) -> tuple[int, ...]:
        """Which pairs of the split this rank has in a step."""
        return tuple(self.order(number) for number in self.plan.numbers(step))

    @abstractmethod
    def _fitted(self, step: int) -> Fitted:
        """The pairs of a step on the device, at the chain's `load_size`."""

    @abstractmethod
    def describe(self) -> str:
        """How the pairs are held, in words for the user."""

    def close(self) -> None:  # noqa: B027  only some feeds start anything
        """End the processes that the feed started."""


class ResidentFeed(Feed):
    """Holds all pairs decoded on the device; resized already, where that takes no more than `room`.

    workers: threads that decode. progress: called as progress(done, of). room: bytes.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        workers: int | None = None,
        progress: Progress | None = None,
        room: int = 0,
    ) -> None:
        super().__init__(plan)
        split = plan.split
        packed = split if isinstance(split, Packed) else pack(split, Memory, workers, progress)
        self.names, self.keys = packed.names, packed.keys
        # In this order: A, B, extras.
        self.sides = [plan.a, plan.b, *(None for _ in self.keys)]
        once = int(packed.single and plan.a == plan.b)  # a single picture is held once
        columns = list(zip(packed.columns, self.sides, strict=True))[once:]
        stores = [(column.to(plan.device), side) for column, side in columns]

        load = self.chain.load_size
        self.resized = sum(store.fitted_bytes(side, load) for store, side in stores) <= room
        held = [store.fitted(side, load) if self.resized else store for store, side in stores]
        self.stores = held[:1] * once + held
        self.nbytes = sum(store.nbytes for store in held)

    def _fitted(self, step: int) -> Fitted:
        indices, load = self.indices(step), self.chain.load_size
        on_device = to_device(torch.tensor(indices), self.plan.device)
        taken = [store.take(indices, on_device) for store in self.stores]
        a, b, *extra = (
            x if self.resized and isinstance(x, Tensor) else fit_images(x, side, load)
            for x, side in zip(taken, self.sides, strict=True)
        )
        names = tuple(self.names[i] for i in indices)
        return Fitted(a, b, dict(zip(self.keys, extra, strict=True)), names)

    def describe(self) -> str:
        where = f"{self.nbytes / 2**20:.0f} MiB on {self.plan.device.type}"
        return f"{len(self.names)} pairs, decoded, {where}"


class StreamedFeed(Feed):
    """Decodes ahead of use in worker processes; on CUDA batches come over pinned memory and are
    copied beside the computation.

    workers: processes; 0 decodes in this one, when asked. copy_ahead: have a thread move batches to
        the device before they are asked for; by default where that is a GPU.
    A step other than the next one, as after a resume, starts the processes anew at that step.
    """

    def __init__(
        self, plan: Plan, *, workers: int | None = None, copy_ahead: bool | None = None
    ) -> None:
        super().__init__(plan)
        self.workers = default_workers(workers, MOST_WORKERS)
        on_gpu = plan.device.type == "cuda"
        self.copy_ahead = on_gpu and self.workers > 0 if copy_ahead is None else copy_ahead
        self._coming: Stream | Ahead | None = None
        self._next = -1
        self._channels: tuple[int, ...] = ()

    def _fitted(self, step: int) -> Fitted:
        plan = self.plan
        if self._coming is None or step != self._next:
            self.close()
            pin = plan.device.type == "cuda"
            stream = Stream(plan.split, lambda: self._from(step), self.workers, pin)
            self._coming = Ahead(stream, plan.device) if self.copy_ahead else stream
        try:
            decoded: Decoded = next(self._coming)
        except BaseException:
            self.close()
            raise
        self._next = step + 1
        self._need_as_before(decoded)
        return fit_decoded(decoded, plan.a, plan.b, self.chain.load_size, plan.device)

    def _need_as_before(self, decoded: Decoded) -> None:
        """Raises UserError where files that were replaced have other channels now."""
        channels = tuple(side[0].shape[0] for side in (decoded.a, decoded.b))
        self._channels = self._channels or channels
        if channels != self._channels:
            raise UserError(
                f"the pairs {', '.join(decoded.names[:4])} have {channels[0]} and {channels[1]} "
                f"channels, those before had {self._channels[0]} and {self._channels[1]}: were "
                "the files changed meanwhile?"
            )

    def _from(self, step: int) -> Batches:
        order = Order.of(self.plan.seed, self.plan.split)  # its own: a thread may ask
        while True:
            yield tuple(order(number) for number in self.plan.numbers(step))
            step += 1

    def describe(self) -> str:
        return f"{len(self.plan.split)} pairs, decoded by {self.workers} workers as they come"

    def close(self) -> None:
        if self._coming is not None:
            self._coming.close()
        self._coming = None


def make_feed(
    split: Split,
    a: Side,
    b: Side,
    *,
    direction: Direction,
    size: Size,
    batch_size: int,
    seed: int,
    device: torch.device,
    augmentations: Sequence[KeyedAugmentation] = (),
    workers: int | None = None,
    progress: Progress | None = None,
    rank: int = 0,
    world: int = 1,
    share: float = SHARE,
    kind: Literal["auto", "resident", "streamed"] = "auto",
    cache: Cache | None = None,
) -> Feed:
    """A feed that holds the pairs on the device where they take no more than `share` of what is
    free there, and else streams them. augmentations: of the stages `derive` and `data`; others are
    left out. workers: threads or processes; None chooses. cache: where decoded pairs are kept
    between runs; it changes no pixel.
    """
    kept = cache.open(split, workers, progress) if cache else None
    split = split if kept is None else kept
    plan = Plan(split, a, b, direction, size, batch_size, seed, device, augmentations, rank, world)
    # Processes of one machine share its main memory.
    room = int(free_memory(device) * share / (1 if device.type == "cuda" else world))
    decoded = decoded_bytes(split)
    if kind == "streamed" or (kind == "auto" and decoded > room):
        return StreamedFeed(plan, workers=workers)
    if device.type == "cpu":  # resizing costs a hundredth of a step there, float32 four times uint8
        room = min(room, decoded)
    return ResidentFeed(plan, workers=workers, progress=progress, room=room)
