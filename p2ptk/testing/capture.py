"""Whether a CUDA graph can hold a network's forward and backward."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from p2ptk.testing.common import check
from p2ptk.testing.outcomes import Failed, Skipped, told
from p2ptk.testing.probe import inputs, network, outputs
from p2ptk.testing.subject import Subject

# Functions whose result, or its size, the host must wait for.
WAITING = {
    **dict.fromkeys(
        ("item", "tolist", "numpy", "cpu", "__bool__", "__int__", "__float__", "__index__"),
        "reads a tensor's value on the host (item, float, bool, or an if)",
    ),
    **dict.fromkeys(("equal", "allclose"), "compares two tensors for the host"),
    **dict.fromkeys(("nonzero", "argwhere"), "asks which places are not zero"),
    **dict.fromkeys(("unique", "unique_consecutive", "bincount"), "counts values"),
    "masked_select": "selects by a mask",
}
WARM_UP = 3  # forwards before a capture, as torch asks for


@check("generator", "encoder", "discriminator")
def capturable(subject: Subject) -> str:
    """A CUDA graph can capture its forward and backward, or it declares `capturable = False`."""
    made = network(subject).train()
    if getattr(made, "capturable", True) is False:
        raise Skipped("it declares capturable = False.")
    advice = "compute it on the device (torch.where), or declare self.capturable = False"
    waiting = _Waiting()
    with waiting:
        _update(subject, made, inputs(subject))
    if waiting.seen:
        what, where = waiting.seen
        raise Failed(
            f"{subject.name} {what}{where}, and a CUDA graph can't wait for the host: {advice}."
        )
    if not torch.cuda.is_available():
        return "looked for what the host waits for; a capture needs CUDA."
    try:
        _capture(subject, made.cuda())
    except Exception as error:
        raise Failed(
            f"{subject.name} can't be captured in a CUDA graph ({told(error)}): {advice}."
        ) from error
    return "captured and replayed on CUDA."


def _update(subject: Subject, made: nn.Module, given: Sequence[Tensor]) -> Tensor:
    """A scalar of all outputs, whose gradients are left in the parameters that train."""
    made.zero_grad(set_to_none=True)
    found = [x.float().square().mean() for x in outputs(subject, made(*given))]
    total = torch.stack(found).sum()
    if total.requires_grad:
        total.backward()
    return total


def _capture(subject: Subject, made: nn.Module) -> None:
    given = [x.cuda() for x in inputs(subject)]
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(WARM_UP):
            _update(subject, made, given)
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        total = _update(subject, made, given)
    graph.replay()
    torch.cuda.synchronize()
    if not total.isfinite():
        raise Failed("the replay gives a value that is not finite")


class _Waiting(TorchFunctionMode):
    """Notes the first function that the host waits for, and where it was called."""

    seen: tuple[str, str] | None = None

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        what = WAITING.get(getattr(func, "__name__", ""))
        if func is Tensor.__getitem__ and _has_mask(args[1]):
            what = "indexes by a mask"
        if what and self.seen is None:
            self.seen = what, _caller()
        return func(*args, **(kwargs or {}))


def _has_mask(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return any(isinstance(x, Tensor) and x.dtype in (torch.bool, torch.uint8) for x in parts)


def _caller() -> str:
    """FILE:LINE of the code that called torch, outside of torch and of this package."""
    here, of_torch = str(Path(__file__).parent), str(Path(torch.__file__).parent)
    for frame in reversed(traceback.extract_stack()):
        if not frame.filename.startswith((here, of_torch)):
            return f" in {Path(frame.filename).name}:{frame.lineno}"
    return ""
