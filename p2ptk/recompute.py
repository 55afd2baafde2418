"""Less memory for more time: a generator's blocks are computed again for their gradients.

Only what goes into a block is kept (Chen et al. 2016, arXiv 1604.06174); what is inside is made a
second time when the backward pass comes to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint

from p2ptk.freeze import still_statistics


def recompute(network: nn.Module) -> int:
    """Let a network's blocks forget what they computed; gives how many there are.

    Blocks are the members of its `nn.ModuleList`s and `nn.Sequential`s that are made of several
    layers, the outermost of them; a network without any is one block. The numbers stay the same:
    dropout draws the same again, and running statistics stand still the second time. Layers that
    work in place no longer do, since what goes into a block must stay as it was.
    """
    blocks = list(_blocks(network)) or [network]
    for block in blocks:
        for layer in block.modules():
            if getattr(layer, "inplace", False):
                layer.inplace = False  # type: ignore[assignment]
        block.__class__ = _run_twice(type(block))
    return len(blocks)


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    listed = isinstance(module, (nn.ModuleList, nn.Sequential))
    for child in module.children():
        if listed and any(child.children()) and any(True for _ in child.parameters()):
            yield child
        else:
            yield from _blocks(child)


class _Again(nn.Module):
    """Goes before a block's own class: its forward is run a second time in the backward pass."""

    def forward(self, *inputs: Any) -> Any:
        return checkpoint(
            super().forward, *inputs, use_reentrant=False, context_fn=self._while_running
        )

    def _while_running(self) -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
        return nullcontext(), still_statistics(self, True)


_made: dict[Any, type[nn.Module]] = {}


def _run_twice(kind: type[nn.Module]) -> type[nn.Module]:
    if kind not in _made:
        _made[kind] = type(kind.__name__, (_Again, kind), {})
    return _made[kind]
