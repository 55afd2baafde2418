"""Spectral normalisation: convolutions whose largest singular value is 1."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FIRST_STEPS = 15  # of the power iteration, when weights are new


class SpectralConv2d(nn.Conv2d):
    """A convolution by W / sigma(W) (Miyato et al. 2018, arXiv 1802.05957, section 2.1, Alg. 1).

    W is `weight` as a matrix of one row an output channel. sigma, its largest singular value, is
    u^T W v; each forward in training takes `steps` steps of the power iteration on the buffers u
    and v, and in eval mode they stand still. All of it is float32 under autocast.

    The weight keeps its name and is what trains, so that weights without and with the norm load
    into one another; torch's own parametrisation renames it, and iterates in half precision.
    """

    u: Tensor
    v: Tensor

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.steps = 1
        rows, columns = self.weight.flatten(1).shape
        weight = self.weight.detach()
        self.register_buffer("u", F.normalize(weight.new_empty(rows).normal_(), dim=0))
        self.register_buffer("v", F.normalize(weight.new_empty(columns).normal_(), dim=0))
        self.after_init()

    def forward(self, input: Tensor) -> Tensor:
        return self._conv_forward(input, self.normed(), self.bias)

    def normed(self) -> Tensor:
        """W / sigma."""
        with torch.autocast(self.weight.device.type, enabled=False):
            if self.training:
                self._iterate(self.steps)
            # The next forward moves u and v before the gradients of this one are taken.
            u, v = self.u.clone(), self.v.clone()
            return self.weight / torch.dot(u, torch.mv(self.weight.flatten(1), v))

    def after_init(self) -> None:
        """Find u and v of weights that were drawn anew."""
        self._iterate(FIRST_STEPS)

    @torch.no_grad()
    def _iterate(self, steps: int) -> None:
        matrix = self.weight.flatten(1)
        for _ in range(steps):
            self.u.copy_(F.normalize(torch.mv(matrix, self.v), dim=0))
            self.v.copy_(F.normalize(torch.mv(matrix.T, self.u), dim=0))


def convolution(spectral: bool) -> type[nn.Conv2d]:
    """The class of a network's convolutions."""
    return SpectralConv2d if spectral else nn.Conv2d
