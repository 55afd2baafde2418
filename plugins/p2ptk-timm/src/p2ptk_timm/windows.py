"""MaxViT's windows on maps of any size."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

PADDED: dict[type, type] = {}
try:
    from timm.models.maxxvit import (
        ParallelPartitionAttention,
        PartitionAttention2d,
        PartitionAttentionCl,
    )
except ImportError:  # another release of timm: its models keep to their sizes
    pass
else:

    class PaddedCl(PartitionAttentionCl):
        """On maps N h w C."""

        def _partition_attn(self, x: Tensor) -> Tensor:
            return _padded(super()._partition_attn, x, self.partition_size, 1)

    class PaddedParallel(ParallelPartitionAttention):
        """On maps N h w C."""

        def _partition_attn(self, x: Tensor) -> Tensor:
            return _padded(super()._partition_attn, x, self.partition_size, 1)

    class Padded2d(PartitionAttention2d):
        """On maps N C h w."""

        def _partition_attn(self, x: Tensor) -> Tensor:
            return _padded(super()._partition_attn, x, self.partition_size, 2)

    PADDED |= {
        PartitionAttentionCl: PaddedCl,
        ParallelPartitionAttention: PaddedParallel,
        PartitionAttention2d: Padded2d,
    }


def pad_windows(net: nn.Module) -> nn.Module:
    """Let MaxViT's attention take maps that its windows don't divide, as Swin's does.

    A map is padded with zeros at the right and at the bottom, and cropped again. Zeros join the
    attention of the windows at those borders, as they do in Swin.
    """
    for module in net.modules():
        if type(module) in PADDED:
            module.__class__ = PADDED[type(module)]
    return net


def _padded(
    attend: Callable[[Tensor], Tensor], x: Tensor, windows: Sequence[int], first: int
) -> Tensor:
    """`attend` on a map made a multiple of `windows`; h and w are x's dimensions from `first`."""
    height, width = x.shape[first : first + 2]
    below, right = -height % windows[0], -width % windows[1]
    if not (below or right):
        return attend(x)
    after = (0, 0) * (x.ndim - first - 2)
    x = attend(F.pad(x, (*after, 0, right, 0, below)))
    return x.narrow(first, 0, height).narrow(first + 1, 0, width)
