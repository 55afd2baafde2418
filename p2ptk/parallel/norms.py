"""Batch norm over the batches of all processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class SharedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm whose training statistics are those of all processes' equal shares together.

    For devices that torch's own SyncBatchNorm does not know. Statistics are computed in float32
    or finer, in two passes: the mean, then the mean square around it.
    """

    def forward(self, x: Tensor) -> Tensor:
        """x: N C H W of this process."""
        if not self.training:
            return super().forward(x)
        y = x.to(torch.promote_types(x.dtype, torch.float32))
        mean = _Mean.apply(y.mean((0, 2, 3)))
        centred = y - mean[:, None, None]
        variance = _Mean.apply(centred.square().mean((0, 2, 3)))
        self._move_statistics(mean.detach(), variance.detach(), y.numel() // y.shape[1])
        y = centred * (variance + self.eps).rsqrt()[:, None, None]
        if self.affine:
            y = y * self.weight[:, None, None] + self.bias[:, None, None]
        return y.to(x.dtype)

    def _move_statistics(self, mean: Tensor, variance: Tensor, count: int) -> None:
        if self.running_mean is None or self.running_var is None:
            return
        momentum = self.momentum
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if momentum is None:
                momentum = 1 / float(self.num_batches_tracked)
        count *= dist.get_world_size()
        unbiased = variance * (count / max(count - 1, 1))
        self.running_mean.lerp_(mean, momentum or 0.0)
        self.running_var.lerp_(unbiased, momentum or 0.0)


class _Mean(torch.autograd.Function):
    """The mean over processes, which a loss may be differentiated through, also twice.

    Each process differentiates its own loss, and their gradients are averaged in the end; so what
    comes back here is averaged, too.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        whole = x.contiguous().clone()
        dist.all_reduce(whole)
        return whole / dist.get_world_size()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return _Mean.apply(grads[0])


def synchronise(network: nn.Module, note: Callable[[str], object]) -> None:
    """Have a network's batch norms take their statistics over all processes, in place.

    note: told of layers that are of a class of their own, and stay as they are.
    """
    left = set()
    for layer in network.modules():
        if type(layer) is nn.BatchNorm2d:
            on_cuda = any(p.is_cuda for p in (*layer.parameters(), *layer.buffers()))
            shared: Any = nn.SyncBatchNorm if on_cuda else SharedBatchNorm2d
            layer.__class__ = shared
            layer.process_group = None  # type: ignore[assignment]
        elif isinstance(layer, _BatchNorm):
            left.add(type(layer).__name__)
    for name in sorted(left):
        note(f"train.sync_norm leaves layers of the class {name} as they are")
