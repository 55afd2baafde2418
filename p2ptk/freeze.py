"""What stands still while a phase runs: the other side's weights, and running statistics."""

from __future__ import annotations

from torch import nn

from p2ptk.optim import Updater
from p2ptk.spectral import SpectralConv2d


class frozen:
    """Takes the updater's own parameters out of the graph, and puts exactly those back."""

    def __init__(self, updater: Updater | None) -> None:
        self.parameters = list(updater.parameters.values()) if updater else []

    def __enter__(self) -> None:
        for parameter in self.parameters:
            parameter.requires_grad_(False)

    def __exit__(self, *error: object) -> None:
        for parameter in self.parameters:
            parameter.requires_grad_(True)


class still_statistics:
    """As in training, but without moving running statistics or estimates of singular values."""

    def __init__(self, module: nn.Module, still: bool) -> None:
        norms = (nn.BatchNorm2d, nn.SyncBatchNorm)
        modules = list(module.modules()) if still else []
        self.norms = [m for m in modules if isinstance(m, norms)]
        self.spectral = [m for m in modules if isinstance(m, SpectralConv2d)]

    def __enter__(self) -> None:
        self.momentum = [(norm.momentum, norm.num_batches_tracked) for norm in self.norms]
        self.steps = [conv.steps for conv in self.spectral]
        for norm in self.norms:
            norm.momentum, norm.num_batches_tracked = 0.0, None
        for conv in self.spectral:
            conv.steps = 0

    def __exit__(self, *error: object) -> None:
        for norm, (momentum, batches) in zip(self.norms, self.momentum, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, batches
        for conv, steps in zip(self.spectral, self.steps, strict=True):
            conv.steps = steps
