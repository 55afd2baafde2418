"""Initial weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils import parametrize

Init = Literal["normal", "xavier", "kaiming", "orthogonal"]


@torch.no_grad()
def initialise(network: nn.Module, how: Init = "normal", gain: float = 0.02) -> None:
    """Draw the weights of a network anew, as pix2pix does (Isola et al. 2017, 6.2).

    Convolutions and linear layers: weights from N(0, gain) ("normal"), or Glorot's, He's (which
    has no gain) or Saxe's scheme; biases 0. Batch norm: weights from N(1, gain), biases 0. The rest
    keeps what it has, and so does any submodule with `keep_init = True`, as pretrained ones have.
    A layer's method `after_init()` is called when it is done.

    Numbers come from the global CPU generator, which the caller seeds; they depend neither on the
    network's device nor on its memory format or dtype.
    """
    draw = _draw(how, gain)
    for module in _without_kept(network):
        if isinstance(module, (_ConvNd, nn.Linear)):
            _fill(_weight(module), draw)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, _BatchNorm) and module.affine:
            _fill(module.weight, lambda x: x.normal_(1.0, gain))
            module.bias.zero_()
        after_init = getattr(module, "after_init", None)
        if callable(after_init):
            after_init()


def _draw(how: Init, gain: float) -> Callable[[Tensor], Tensor]:
    match how:
        case "normal":
            return lambda x: x.normal_(0.0, gain)
        case "xavier":
            return lambda x: nn.init.xavier_normal_(x, gain)
        case "kaiming":
            return lambda x: nn.init.kaiming_normal_(x)
        case "orthogonal":
            return lambda x: nn.init.orthogonal_(x, gain)


def _without_kept(module: nn.Module) -> Iterator[nn.Module]:
    """A module and those within it, but for those that keep their weights."""
    if getattr(module, "keep_init", False):
        return
    yield module
    for child in module.children():
        yield from _without_kept(child)


def _weight(module: nn.Module) -> Tensor:
    """A layer's weight; where it is computed (spectral norm), what it is computed from."""
    if parametrize.is_parametrized(module, "weight"):
        return module.parametrizations.weight.original  # type: ignore[union-attr,return-value]
    return module.weight  # type: ignore[return-value]


def _fill(parameter: Tensor, draw: Callable[[Tensor], Tensor]) -> None:
    """In memory order a channels-last tensor would take the same numbers to other places."""
    parameter.copy_(draw(torch.empty(parameter.shape)))
