"""Batch norm that does not train: neither its weights nor its statistics."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class FrozenNorm(nn.Module):
    """Batch norm by running statistics whatever the mode, with all four tensors as buffers.

    It is no `nn.BatchNorm2d`, so nothing that treats batch norm apart (statistics of each picture
    at test time, synchronised statistics over GPUs) takes hold of it: what was frozen in training
    is the same afterwards. Names of tensors are those of the layer it takes the place of.
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        assert norm.running_mean is not None
        assert norm.running_var is not None
        self.eps = norm.eps
        mean = norm.running_mean
        self.register_buffer("weight", mean.new_ones(()).expand_as(mean).clone())
        self.register_buffer("bias", mean.new_zeros(()).expand_as(mean).clone())
        if norm.affine:
            self.weight, self.bias = norm.weight.detach(), norm.bias.detach()
        self.register_buffer("running_mean", mean)
        self.register_buffer("running_var", norm.running_var)
        # timm's own layer drops blocks and activates as well.
        self.drop: nn.Module = getattr(norm, "drop", nn.Identity())
        self.act: nn.Module = getattr(norm, "act", nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        x = F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
        )
        return self.act(self.drop(x))


def freeze_norms(net: nn.Module) -> None:
    """Put a FrozenNorm in the place of each batch norm of which nothing trains."""
    for name, child in net.named_children():
        if not isinstance(child, nn.BatchNorm2d):
            freeze_norms(child)
        elif child.running_mean is not None and not _trains(child):
            setattr(net, name, FrozenNorm(child))


def _trains(norm: nn.BatchNorm2d) -> bool:
    # One without weights goes with what surrounds it, which only its owner knows.
    return not norm.affine or norm.weight.requires_grad
