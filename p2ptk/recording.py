"""One kind of step, recorded as a CUDA graph and replayed on other inputs.

Into a replay go the batch and the numbers of judge-stage augmentations, copied into tensors of
fixed place; the seed of dropout, which a graph takes from torch's generator when it starts; and
whatever lies on the device: weights, optimiser states, gradient scales, learning rates.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from p2ptk.feed import Batch
from p2ptk.pairs.augment import Drawn
from p2ptk.step import Step

Scalars = dict[str, Tensor]
Replay = Callable[[], object]


class Recorder(Protocol):
    """What records steps: `CUDARecorder`, or another one in tests."""

    def aside(self, function: Callable[[], Scalars]) -> tuple[Scalars, str]:
        """Run a step where steps are recorded; says which line waited for the device, if any."""

    def record(self, function: Callable[[], Scalars]) -> tuple[Replay, Scalars]:
        """What does again on the device what a step did, and where the result will lie."""


class Recording:
    """A step that is replayed. Called as the step would be.

    function: takes the step; it is called once, or as often as the recorder likes.
    """

    def __init__(
        self,
        recorder: Recorder,
        function: Callable[[Batch, Step], Scalars],
        batch: Batch,
        step: Step,
    ) -> None:
        self.inputs = [x.clone() for x in tensors_of(batch, step)]
        fixed, see = put_back(self.inputs, batch, step)
        # Dropout is seeded before the replay: nothing can seed it within.
        quiet = replace(step, see=see, reseed=lambda seed: None)
        self.replay, self.scalars = recorder.record(lambda: function(fixed, quiet))

    def __call__(self, batch: Batch, step: Step) -> Scalars:
        """The scalars lie where the next call writes its own."""
        for mine, given in zip(self.inputs, tensors_of(batch, step), strict=True):
            mine.copy_(given, non_blocking=True)
        torch.manual_seed(step.seed)
        self.replay()
        return dict(self.scalars)


@dataclass
class CUDARecorder:
    """Records with torch's CUDA graphs. They share the memory for what they compute, since none
    runs while another does, and their results are read in between.
    """

    device: torch.device

    def __post_init__(self) -> None:
        self.stream = torch.cuda.Stream(self.device)
        self.pool = torch.cuda.graph_pool_handle()

    def aside(self, function: Callable[[], Scalars]) -> tuple[Scalars, str]:
        current = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(current)
        mode = torch.cuda.get_sync_debug_mode()
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with torch.cuda.stream(self.stream), warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                scalars = function()
        finally:
            torch.cuda.set_sync_debug_mode(mode)
        current.wait_stream(self.stream)
        waits = [w for w in caught if "synchronizing CUDA operation" in str(w.message)]
        return scalars, f"{Path(waits[0].filename).name}:{waits[0].lineno}" if waits else ""

    def record(self, function: Callable[[], Scalars]) -> tuple[Replay, Scalars]:
        graph = torch.cuda.CUDAGraph()
        try:
            # Threads of the feed may talk to the device meanwhile.
            with torch.cuda.graph(
                graph, pool=self.pool, stream=self.stream, capture_error_mode="thread_local"
            ):
                scalars = function()
        except Exception:
            # A recording that broke off leaves torch's generator unable to draw.
            generator = torch.cuda.default_generators[torch.cuda.current_device()]
            generator.graphsafe_set_state(torch.Generator(self.device))
            raise
        return graph.replay, scalars


def tensors_of(batch: Batch, step: Step) -> list[Tensor]:
    """What comes from outside into a step, in a fixed order."""
    drawn = step.see.steps if step.see is not None else ()
    numbers = [x for _, params in drawn for x in params.values()]
    return [batch.source, batch.target, *batch.extra.values(), *numbers]


def put_back(tensors: Sequence[Tensor], batch: Batch, step: Step) -> tuple[Batch, Drawn | None]:
    """A batch and a step's augmentations like those given, of the tensors of `tensors_of`."""
    source, target, *rest = tensors
    coming = iter(rest)
    extra = {key: next(coming) for key in batch.extra}
    fixed = Batch(source, target, extra, batch.names, batch.numbers)
    if step.see is None:
        return fixed, None
    drawn = tuple((a, {key: next(coming) for key in params}) for a, params in step.see.steps)
    return fixed, Drawn(drawn)
