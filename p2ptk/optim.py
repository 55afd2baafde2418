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
from torch.optim.adam import Adam, adam
from torch.optim.adamw import AdamW, adamw

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
        self.lr = float(optimizer.defaults["lr"])

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
        "adam": lambda: plain(CPUAdam if on_cpu else Adam)(
            parameters.values(), betas=betas, **fused, **graphs
        ),
        "adamw": lambda: plain(CPUAdamW if on_cpu else AdamW)(
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
    return Updater(parameters, optimizer, scaler)


def plain(kind: type[Optimizer]) -> Any:
    """The same optimiser without the decorators that keep torch's compiler off its methods: their
    first call loads that compiler, for more than a second, though nothing is compiled.
    """
    methods: dict[str, Any] = {
        name: inspect.unwrap(getattr(kind, name)) for name in ("add_param_group", "zero_grad")
    }
    methods["step"] = torch.no_grad()(inspect.unwrap(kind.step))
    return type(kind.__name__, (kind,), methods)


class _InMemoryOrder:
    """Fused Adam for CPUs, which goes over tensors in the order of their memory.

    torch's own kernel (2.6 to 2.15) takes it for granted that a gradient lies as its parameter
    does, and updates the wrong weights where it does not; and it copies a channels-last gradient
    for nothing. Here all tensors of a parameter are handed over as contiguous views.
    """

    param_groups: list[dict[str, Any]]
    state: Any
    update: Callable[..., None]

    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            rows = [self._tensors(p) for p in group["params"] if p.grad is not None]
            if not rows:
                continue
            parameters, gradients, first, second, steps = zip(*rows, strict=True)
            type(self).update(
                list(parameters),
                list(gradients),
                list(first),
                list(second),
                [],
                list(steps),
                fused=True,
                found_inf=getattr(self, "found_inf", None),
                amsgrad=False,
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                lr=group["lr"],
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                maximize=False,
            )

    def _tensors(self, parameter: Tensor) -> tuple[Tensor, ...]:
        """The parameter, its gradient and its state as contiguous views of one order."""
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        known = vars(self).setdefault("_known", {})  # views by parameter, made once
        made_of = parameter.data_ptr(), state["exp_avg"].data_ptr()
        if parameter not in known or known[parameter][0] != made_of:
            strides = parameter.stride()
            order = sorted(range(parameter.dim()), key=lambda d: strides[d], reverse=True)
            whole = (parameter, state["exp_avg"], state["exp_avg_sq"])
            views = [x.detach().permute(order) for x in whole]
            if not all(x.is_contiguous() for x in views):
                raise RuntimeError("a parameter's state does not lie in memory as it does itself")
            known[parameter] = made_of, order, views
        _, order, (values, first, second) = known[parameter]
        assert parameter.grad is not None
        return values, parameter.grad.permute(order).contiguous(), first, second, state["step"]


class CPUAdam(_InMemoryOrder, Adam):  # type: ignore[misc]
    update = staticmethod(adam)


class CPUAdamW(_InMemoryOrder, AdamW):  # type: ignore[misc]
    update = staticmethod(adamw)


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
