"""Normalisation layers, and which convolutions beside them carry a bias."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

Norm = Literal["batch", "instance", "none"]
Bias = Literal["port", "no-norm", "all", "none"]


def norm_layer(norm: Norm, channels: int) -> nn.Module:
    """The layer that `norm` names, for N `channels` H W.

    batch: statistics of the batch, affine, with running statistics (Ioffe & Szegedy 2015).
    instance: statistics of each map alone, neither affine nor running (Ulyanov et al. 2016).
    none: the identity.
    """
    match norm:
        case "batch":
            return nn.BatchNorm2d(channels)
        case "instance":
            return InstanceNorm()
        case "none":
            return nn.Identity()


class InstanceNorm(nn.Module):
    """(x - mean) / sqrt(variance + 1e-5) of each map; one of a single pixel stays as it is.

    This is group norm with a channel a group. `F.instance_norm` won't do: on the CPU (torch 2.15)
    its gradient is wrong, without an error, for one image in channels-last memory. Group norm is
    right in any memory format, but quicker on contiguous maps where a group is one channel.
    """

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        if height * width == 1:
            return x
        return F.group_norm(x.contiguous(), x.shape[1], eps=1e-5)


def conv_bias(rule: Bias, norm: Norm, *, normed: bool, always: bool = False) -> bool:
    """Whether a convolution has a bias.

    port: as the PyTorch port of pix2pix has it: every convolution with instance norm, else only
        those that the port gives one whatever the norm (`always`).
    no-norm: where no norm follows, since a norm takes any constant away.
    all, none: every convolution, no convolution.

    norm: the network's norm; normed: this convolution's output goes through it.
    """
    match rule:
        case "port":
            return always or norm == "instance"
        case "no-norm":
            return not normed or norm == "none"
        case "all":
            return True
        case "none":
            return False
