"""The faster ways to do the same: which of them a run takes is decided here, once.

None of them shows in the step itself. A way is a memory format, another forward of the same layers,
or a wrapper around the step (`p2ptk.capture`), and each can be turned off in the config.
"""

from __future__ import annotations

import os
import shutil
import sys
from importlib.util import find_spec

import torch
from torch import nn

from p2ptk.config import Train
from p2ptk.deep import as_products
from p2ptk.device import Precision
from p2ptk.errors import UserError
from p2ptk.recompute import recompute


def fast(network: nn.Module, train: Train, device: torch.device, precision: Precision) -> nn.Module:
    """A network on the device, in the memory format and with the layers that are fast there.

    Its parameters' names and, but for rounding, its numbers are as before.
    """
    layout = torch.channels_last if train.channels_last else torch.contiguous_format
    network = network.to(device, memory_format=layout)  # type: ignore[call-overload]
    if device.type == "cpu" and train.channels_last and train.deep_products:
        as_products(network, precision)
    return network


def shape(generator: nn.Module, discriminator: nn.Module | None, train: Train) -> None:
    """Have a generator's blocks computed twice, and networks compiled, where the config says so.

    Raises UserError where there is nothing to compile with.
    """
    if train.checkpoint_activations:
        recompute(generator)
    if train.compile:
        need_compiler(next(generator.parameters()).device)
        for network in (generator, discriminator):
            if network is not None:
                network.compile()


def need_compiler(device: torch.device) -> None:
    """Raises UserError where torch's compiler lacks what it makes code with on a device."""
    if device.type == "cpu":
        names = [os.environ.get("CXX", ""), "cl" if sys.platform == "win32" else "g++", "clang++"]
        found, what = any(name and shutil.which(name) for name in names), "a C++ compiler (g++)"
    else:
        found, what = device.type != "cuda" or find_spec("triton") is not None, "the package triton"
    if not found:
        raise UserError(f"--compile needs {what} on {device.type}: install it, or leave it out.")
