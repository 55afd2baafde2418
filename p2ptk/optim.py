"""Optimisers, learning-rate schedules, and the averaged copy of the generator."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from p2ptk.config import Train


class Updater:
    """One network's optimiser with its gradient scaler.

    parameters: those that train, by name; the checkpoint stores their state under these names.
    """

    def __init__(
        self,
        parameters: dict[str, nn.Parameter],
        optimizer: Optimizer,
        scaler: torch.amp.GradScaler,
    ) -> None:
        self.parameters = parameters
        self.optimizer = optimizer
        self.scaler = scaler
        self.skips = _takes_found_inf(optimizer)

    def backward(self, loss: Tensor) -> None:
        self.scaler.scale(loss).backward()

    def step(self, finite: Tensor) -> None:
        """Update, unless `finite` (a bool scalar on the device) says that the loss was not.

        Fused optimisers take that flag on the device, so that nothing waits for it.
        """
        if all(p.grad is None for p in self.parameters.values()):
            return  # no term was due in this phase
        if self.scaler.is_enabled():
            self.scaler.step(self.optimizer)
            self.scaler.update()
        elif self.skips:
            self.optimizer.found_inf = (~finite).float()  # type: ignore[attr-defined]
            self.optimizer.step()
        elif bool(finite):
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def set_lr(self, lr: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = lr


def _takes_found_inf(optimizer: Optimizer) -> bool:
    return bool(
        getattr(optimizer, "_step_supports_amp_scaling", False) and optimizer.defaults.get("fused")
    )


def make_updater(
    named: Iterable[tuple[str, nn.Parameter]], train: Train, side: str, scaler: torch.amp.GradScaler
) -> Updater:
    """The optimiser of one side, "g" or "d", over the parameters that require gradients."""
    parameters = {name: p for name, p in named if p.requires_grad}

    def own(name: str) -> object:
        value = getattr(train, f"{name}_{side}")
        return getattr(train, name) if value is None else value

    lr, decay, betas = own("lr"), own("weight_decay"), own("betas")
    fused = {"fused": True, "lr": lr, "weight_decay": decay}
    make: dict[str, Callable[[], Optimizer]] = {
        "adam": lambda: torch.optim.Adam(parameters.values(), betas=betas, **fused),  # type: ignore[arg-type]
        "adamw": lambda: torch.optim.AdamW(parameters.values(), betas=betas, **fused),  # type: ignore[arg-type]
        "sgd": lambda: torch.optim.SGD(parameters.values(), momentum=betas[0], **fused),  # type: ignore[arg-type,index]
        "rmsprop": lambda: torch.optim.RMSprop(parameters.values(), lr=lr, weight_decay=decay),  # type: ignore[arg-type]
    }
    return Updater(parameters, make[train.optimizer](), scaler)


def lr_factor(train: Train, step: int, total: int) -> float:
    """What the base learning rate is multiplied by in `step` (from 0) of `total`.

    linear: constant, then falling from `decay_from` towards 0, which it would reach one step after
    the last, so that no step is spent at 0. cosine: half a period over the run.
    """
    factor = 1.0
    if train.schedule == "linear":
        start = train.decay_from * total
        factor = min(1.0, (total - step) / max(total - start, 1.0))
    elif train.schedule == "cosine":
        factor = 0.5 * (1 + math.cos(math.pi * step / total))
    if train.warmup_steps:
        factor *= min(1.0, (step + 1) / train.warmup_steps)
    return factor


class Average:
    """Exponential moving average of a generator: w <- decay * w + (1 - decay) * new.

    While fewer steps than 1 / (1 - decay) were seen, the decay is (1 + n) / (10 + n) if smaller,
    so that the random start is soon forgotten. Buffers (running statistics) are copied.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        mine: list[Tensor] = [p.detach() for p in self.module.parameters()]
        theirs: list[Tensor] = [p.detach() for p in module.parameters()]
        torch._foreach_lerp_(mine, theirs, 1 - decay)
        for buffer, new in zip(self.module.buffers(), module.buffers(), strict=True):
            buffer.copy_(new)
