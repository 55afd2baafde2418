"""Fused Adam for CPUs, right for every memory format."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import Adam, adam
from torch.optim.adamw import AdamW, adamw


class InMemoryOrder:
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
            self._update(group, [p for p in group["params"] if p.grad is not None])

    def update_one(self, parameter: Tensor) -> None:
        """Update a single parameter; its gradient is finite."""
        groups = (g for g in self.param_groups if any(p is parameter for p in g["params"]))
        vars(self).pop("found_inf", None)
        self._update(next(groups), [parameter])

    def _update(self, group: dict[str, Any], given: list[Tensor]) -> None:
        if not given:
            return
        rows = [self._tensors(p) for p in given]
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


class CPUAdam(InMemoryOrder, Adam):  # type: ignore[misc]
    update = staticmethod(adam)


class CPUAdamW(InMemoryOrder, AdamW):  # type: ignore[misc]
    update = staticmethod(adamw)
