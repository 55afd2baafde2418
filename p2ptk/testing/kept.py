"""Whether tensors were changed in place."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class Kept:
    """Tensors by name, as they are now."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.tensors = dict(tensors)
        # The version also counts a change that happened to leave the values, as clamp_ may.
        self.before = {k: (x.detach().clone(), x._version) for k, x in self.tensors.items()}

    def changed(self) -> str | None:
        """The first one that was changed since."""
        for name, x in self.tensors.items():
            old, version = self.before[name]
            if x._version != version or not torch.equal(x.detach(), old):
                return name
        return None
