"""Gradients averaged over processes while the backward pass goes on.

torch's DistributedDataParallel does the same for one module. Here a side's updater owns the
parameters: those of its network, and of losses that train with it; the discriminator is called
several times before its backward pass, differentiated by its input, and frozen in the other phase.
So the exchange hangs on the parameters themselves, and networks stay as they are, with their names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

BUCKET = 25 * 2**20  # bytes that are sent at once


class Exchange:
    """Averages the gradients of some parameters, in buckets, the last parameters first.

    A bucket is sent as soon as it and those before it are whole, so that all processes send in one
    order. Parameters without a gradient are left out; they are the same in all processes, since
    these take the same steps.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], world: int, most: int = BUCKET) -> None:
        """most: bytes with which a bucket is full; a parameter is never cut."""
        self.world = world
        self.buckets = buckets(list(parameters)[::-1], most)
        self.bucket_of = {p: i for i, bucket in enumerate(self.buckets) for p in bucket}
        self.missing: list[int] | None = None
        self.sent: list[tuple[Any, Tensor, list[nn.Parameter]]] = []
        for parameter in self.bucket_of:
            parameter.register_post_accumulate_grad_hook(self._ready)

    def begin(self, only: bool) -> None:
        """A backward pass begins; `only` says that no other adds to its gradients."""
        self.missing = [len(bucket) for bucket in self.buckets] if only else None

    def _ready(self, parameter: Tensor) -> None:
        if self.missing is None:
            return
        self.missing[self.bucket_of[parameter]] -= 1  # type: ignore[index]
        while len(self.sent) < len(self.buckets) and not self.missing[len(self.sent)]:
            self._send(self.buckets[len(self.sent)])

    def _send(self, bucket: Sequence[nn.Parameter]) -> None:
        pairs = [(p, p.grad) for p in bucket if p.grad is not None]
        parts = [in_memory_order(grad, p).reshape(-1) for p, grad in pairs]
        flat = torch.cat(parts) if parts else torch.empty(0)
        work = dist.all_reduce(flat, async_op=True) if parts else None
        self.sent.append((work, flat, [p for p, _ in pairs]))

    def finish(self, finite: Tensor) -> Tensor:
        """Have the averages in `.grad`. finite: this process's loss is; gives whether all are."""
        self.missing = None
        for bucket in self.buckets[len(self.sent) :]:
            self._send(bucket)
        everywhere = finite.to(torch.float32)
        dist.all_reduce(everywhere, dist.ReduceOp.MIN)
        for work, flat, having in self.sent:
            if work is None:
                continue
            work.wait()
            flat.div_(self.world)
            for p, part in zip(having, flat.split([p.numel() for p in having]), strict=True):
                p.grad = out_of_memory_order(part, p)
        self.sent = []
        return everywhere > 0.5


def buckets(parameters: Iterable[nn.Parameter], most: int) -> list[list[nn.Parameter]]:
    """Parameters in their order, cut behind the one with which a bucket has `most` bytes, and where
    the kind of number changes.
    """
    found: list[list[nn.Parameter]] = []
    size = 0
    for p in parameters:
        if not found or size >= most or p.dtype != found[-1][0].dtype:
            found.append([])
            size = 0
        found[-1].append(p)
        size += p.nbytes
    return found


def in_memory_order(x: Tensor, like: Tensor) -> Tensor:
    """A view of `x` with its dimensions as they lie in `like`'s memory, the closest last."""
    return x.permute(_order(like))


def out_of_memory_order(flat: Tensor, like: Tensor) -> Tensor:
    """Numbers in the order of `like`'s memory as a tensor of its shape and strides."""
    order = _order(like)
    back = sorted(range(len(order)), key=order.__getitem__)
    return flat.view([like.shape[i] for i in order]).permute(back)


def _order(x: Tensor) -> list[int]:
    strides = x.stride()
    return sorted(range(x.dim()), key=lambda i: -strides[i])
