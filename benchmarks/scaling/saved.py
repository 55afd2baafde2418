"""What a step keeps in memory for its backward passes."""

from __future__ import annotations

import weakref
from collections import Counter

import torch
from torch import Tensor, nn


class Saved:
    """The most bytes that autograd keeps at once, the networks' own left out.

    A context around a step. Views and tensors that several operations keep count once.
    """

    def __init__(self, *networks: nn.Module) -> None:
        own = (t for n in networks for t in (*n.parameters(), *n.buffers()))
        self.own = {_place(t) for t in own}
        self.users: Counter[int] = Counter()
        self.now = self.most = 0
        self.hooks = torch.autograd.graph.saved_tensors_hooks(self._keep, lambda kept: kept.tensor)

    def __enter__(self) -> Saved:
        self.hooks.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.hooks.__exit__(*error)

    def _keep(self, tensor: Tensor) -> _Kept:
        kept, place = _Kept(tensor), _place(tensor)
        if place not in self.own:
            size = tensor.untyped_storage().nbytes()
            if not self.users[place]:
                self.now += size
                self.most = max(self.most, self.now)
            self.users[place] += 1
            weakref.finalize(kept, self._drop, place, size)
        return kept

    def _drop(self, place: int, size: int) -> None:
        self.users[place] -= 1
        if not self.users[place]:
            self.now -= size


class _Kept:
    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def _place(tensor: Tensor) -> int:
    """Which memory a tensor lies in, also on the meta device, where addresses are all 0."""
    return tensor.untyped_storage()._cdata
