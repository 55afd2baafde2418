"""Optimisers, learning-rate schedules, and the averaged copy of the generator."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from p2ptk.config import Train
from p2ptk.cpu_adam import CPUAdam, CPUAdamW, InMemoryOrder
from p2ptk.parallel.gradients import Exchange


class Updater:
    """One network's optimiser with its gradient scaler.

    parameters: those that train, by name; the checkpoint stores their state under these names.
    early: where a backward pass is the step's only one, update each parameter in it, as soon as
        its gradient is whole, and drop that: all of them together never lie in memory.
    """

    def __init__(
        self,
        parameters: dict[str, nn.Parameter],
        optimizer: Optimizer,
        scaler: torch.amp.GradScaler,
        early: bool = False,
    ) -> None:
        self.parameters = parameters
        self.optimizer = optimizer
        self.scaler = scaler
        self.early = early and isinstance(optimizer, InMemoryOrder) and not scaler.is_enabled()
        self._in_backward = False
        for parameter in parameters.values() if self.early else ():
            parameter.register_post_accumulate_grad_hook(self._update_one)
        self.exchange: Exchange | None = None
        self.skips = _takes_found_inf(optimizer)
        self.lr = float(optimizer.defaults["lr"])

    def share(self, exchange: Exchange) -> None:
        """Average gradients with other processes before each update."""
        self.exchange, self.early = exchange, False

    def backward(self, loss: Tensor, only: bool = False) -> None:
        """only: no other pass adds to these gradients before the update."""
        if self.exchange:
            self.exchange.begin(only)
        self._in_backward = only and self.early and bool(torch.isfinite(loss))
        try:
            self.scaler.scale(loss).backward()
        finally:
            self._in_backward = False

    def gathered(self, finite: Tensor) -> Tensor:
        """All passes are made: have the gradients of all processes, where there are several.

        finite: this process's loss is (a bool scalar on the device); gives whether all of them are.
        """
        return self.exchange.finish(finite) if self.exchange else finite

    def _update_one(self, parameter: Tensor) -> None:
        # Autograd calls this when nothing of the graph has yet to read the parameter.
        if self._in_backward:
            self.optimizer.update_one(parameter)  # type: ignore[attr-defined]
            parameter.grad = None

    def step(self, finite: Tensor) -> None:
        """Update, unless `finite` (a bool scalar on the device) says that the loss was not.

        Fused optimisers take that flag on the device, so that nothing waits for it.
        """
        if all(p.grad is None for p in self.parameters.values()):
            return  # no term was due in this phase, or the update is made
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
        """Where the rate is a tensor on the device it is filled, for a captured step reads it."""
        if lr == self.lr:
            return
        self.lr = lr
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(lr)
            else:
                group["lr"] = lr

    def forget(self) -> None:
        """Drop what an update that was broken off has left: gradients, and the scaler's notes."""
        self.optimizer.zero_grad(set_to_none=True)
        vars(self.optimizer).pop("found_inf", None)
        vars(self.optimizer).pop("grad_scale", None)
        if self.scaler.is_enabled():
            state, device = self.scaler.state_dict(), self.scaler._device
            self.scaler = torch.amp.GradScaler(device)
            self.scaler.load_state_dict(state)


def _takes_found_inf(optimizer: Optimizer) -> bool:
    return bool(
        getattr(optimizer, "_step_supports_amp_scaling", False) and optimizer.defaults.get("fused")
    )


def make_updater(
    named: Iterable[tuple[str, nn.Parameter]], train: Train, side: str, scaler: torch.amp.GradScaler
) -> Updater:
    """The optimiser of one side, "g" or "d", over the parameters that require gradients."""
    parameters = {name: p for name, p in named if p.requires_grad}

    def own(name: str) -> Any:
        value = getattr(train, f"{name}_{side}")
        return getattr(train, name) if value is None else value

    lr, decay, betas = own("lr"), own("weight_decay"), own("betas")
    fused: dict[str, Any] = {"fused": True, "lr": lr, "weight_decay": decay}
    device = next(iter(parameters.values())).device if parameters else torch.device("cpu")
    on_cpu = device.type == "cpu"
    graphs = {}  # what capture in a CUDA graph asks of an optimiser
    if device.type == "cuda":
        fused["lr"] = torch.tensor(lr, device=device)
        graphs = {"capturable": True}
    make: dict[str, Callable[[], Optimizer]] = {
        "adam": lambda: plain(CPUAdam if on_cpu else torch.optim.Adam)(
            parameters.values(), betas=betas, **fused, **graphs
        ),
        "adamw": lambda: plain(CPUAdamW if on_cpu else torch.optim.AdamW)(
            parameters.values(), betas=betas, **fused, **graphs
        ),
        "sgd": lambda: plain(torch.optim.SGD)(parameters.values(), momentum=betas[0], **fused),
        "rmsprop": lambda: plain(torch.optim.RMSprop)(
            parameters.values(), lr=lr, weight_decay=decay
        ),
    }
    optimizer = make[train.optimizer]()
    # The first steps run uncaptured; torch would warn that `capturable` is slow there.
    optimizer._warned_capturable_if_run_uncaptured = True
    return Updater(parameters, optimizer, scaler, early=side == "g")


def plain(kind: type[Optimizer]) -> Any:
    """The same optimiser without the decorators that keep torch's compiler off its methods: their
    first call loads that compiler, for more than a second, though nothing is compiled.
    """
    methods: dict[str, Any] = {
        name: inspect.unwrap(getattr(kind, name)) for name in ("add_param_group", "zero_grad")
    }
    methods["step"] = torch.no_grad()(inspect.unwrap(kind.step))
    return type(kind.__name__, (kind,), methods)


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
        buffers = list(self.module.buffers())
        if buffers:
            torch._foreach_copy_(buffers, list(module.buffers()))
