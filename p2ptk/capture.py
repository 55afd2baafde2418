"""The whole step as a CUDA graph: recorded once, then replayed with one call.

A step launches hundreds of small kernels, which takes longer than they run. Recorded are both
phases, the optimisers and the gradient scalers.

A graph repeats what the device did; what the host did is not repeated. So the first steps run as
ever and are watched: where a loss reads the step's number or draws from `t.rng`, where something
waits for the device, or where a buffer is replaced instead of changed, the run goes on without a
graph, and says so. These are steps of the run like all others, so nothing has to be undone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from p2ptk.contracts import Translation
from p2ptk.errors import P2ptkError
from p2ptk.feed import Batch
from p2ptk.recording import CUDARecorder, Recorder, Recording, Scalars, tensors_of
from p2ptk.step import Networks, Step, Term, adversarial_step, critic_step

WATCHED = 3  # steps of a kind that run uncaptured; libraries choose their kernels in them, too
MOST_KINDS = 6  # of steps that are recorded, as there are with lazy terms of different periods
ON_HOST = ("step", "epoch", "rng")  # what a loss sees that no replay would change

Function = Callable[[Networks, Sequence[Term], Batch, Step], Scalars]


class Steps:
    """A run's steps, each on a batch: of both networks, or of the discriminator alone."""

    def __init__(self, networks: Networks, losses: Sequence[Term]) -> None:
        self.networks, self.losses = networks, losses

    def adversarial(self, batch: Batch, step: Step) -> Scalars:
        return self.take(adversarial_step, batch, step)

    def critic(self, batch: Batch, step: Step) -> Scalars:
        return self.take(critic_step, batch, step)

    def take(self, function: Function, batch: Batch, step: Step) -> Scalars:
        return function(self.networks, self.losses, batch, step)


class CapturedSteps(Steps):
    """Steps that are recorded after a few of them, each kind of step for itself.

    note: told in one line why steps are not captured, where they are not.
    """

    def __init__(
        self,
        networks: Networks,
        losses: Sequence[Term],
        recorder: Recorder,
        note: Callable[[str], object],
    ) -> None:
        super().__init__(networks, losses)
        self.recorder, self.note = recorder, note
        self.taken: dict[Any, int] = {}
        self.recordings: dict[Any, Recording] = {}
        self.refused = ""
        self._refuse(reason_against(networks, losses))

    def take(self, function: Function, batch: Batch, step: Step) -> Scalars:
        if self.refused:
            return super().take(function, batch, step)
        kind = kind_of(function, self.losses, batch, step)
        if kind in self.recordings:
            return self.recordings[kind](batch, step)
        self.taken[kind] = self.taken.get(kind, 0) + 1
        if self.taken[kind] <= WATCHED or len(self.recordings) == MOST_KINDS:
            return self._watched(function, batch, step, first=self.taken[kind] == 1)

        def plain(batch: Batch, step: Step) -> Scalars:
            return Steps.take(self, function, batch, step)

        try:
            recording = Recording(self.recorder, plain, batch, step)
        except P2ptkError:
            raise
        except Exception as error:
            self._refuse(str(error).strip().partition("\n")[0] or type(error).__name__)
            for updater in (self.networks.g, self.networks.d):
                if updater is not None:
                    updater.forget()
            return plain(batch, step)
        self.recordings[kind] = recording
        return recording(batch, step)

    def _watched(self, function: Function, batch: Batch, step: Step, first: bool) -> Scalars:
        """A step as ever, after which it is known whether such a step can be recorded."""
        read: set[str] = set()
        places = dict(self._places())
        watched = replace(step, translation=_noting(read))
        scalars, waits = self.recorder.aside(
            lambda: super(CapturedSteps, self).take(function, batch, watched)
        )
        moved = [name for name, place in self._places() if places.get(name, place) != place]
        if step.accumulate > 1:
            self._refuse("train.accumulate seeds dropout within a step")
        elif read:
            self._refuse(f"a loss uses t.{min(read)}, which a graph can't follow")
        elif moved:
            self._refuse(f"{moved[0]} is replaced in a step, instead of changed")
        elif waits and not first:
            self._refuse(f"{waits} waits for the device")
        return scalars

    def _places(self) -> Iterator[tuple[str, int]]:
        """Where in memory all that networks, losses and augmentations keep lies, by name."""
        networks = self.networks
        modules: dict[str, Any] = {
            "generator": networks.generator,
            "discriminator": networks.discriminator,
            **{term.key: term.loss for term in self.losses},
            **{key: augmentation.state for key, augmentation in networks.watching.items()},
        }
        for key, module in modules.items():
            if isinstance(module, nn.Module):
                for name, tensor in (*module.named_parameters(), *module.named_buffers()):
                    yield f"{key}.{name}", tensor.data_ptr()

    def _refuse(self, reason: str) -> None:
        if reason:
            self.refused = reason
            self.note(f"steps run without a CUDA graph: {reason}")


def choose_steps(
    networks: Networks,
    losses: Sequence[Term],
    device: torch.device,
    graph: bool,
    note: Callable[[str], object],
) -> Steps:
    """Captured steps on a GPU, where they are wanted; else plain ones."""
    if not graph or device.type != "cuda":
        return Steps(networks, losses)
    return CapturedSteps(networks, losses, CUDARecorder(device), note)


def reason_against(networks: Networks, losses: Sequence[Term]) -> str:
    """Why steps with these parts can't be recorded, as far as it is known before; "" if nothing is.

    Any part may declare `capturable = False`: one that counts its calls on the host, say.
    """
    if networks.pool is not None:
        return "train.pool chooses among earlier images on the host"
    if networks.g.exchange:
        return "several processes average their gradients"
    for updater in (networks.g, networks.d):
        if updater is not None and not updater.skips:
            return f"{type(updater.optimizer).__name__} waits to see whether the loss is finite"
    parts = {
        "the generator": networks.generator,
        "the discriminator": networks.discriminator,
        **{f"the loss {term.key!r}": term.loss for term in losses},
        **{f"the augmentation {key!r}": each for key, each in networks.watching.items()},
    }
    for name, part in parts.items():
        if not getattr(part, "capturable", True):
            return f"{name} declares capturable = False"
    return ""


def kind_of(function: Function, losses: Sequence[Term], batch: Batch, step: Step) -> Any:
    """What is the same in all steps that one recording stands for."""
    due = tuple((term.due("D", step), term.due("G", step)) for term in losses)
    shapes = tuple((x.shape, x.stride(), x.dtype) for x in tensors_of(batch, step))
    return function, due, step.judge, step.accumulate, step.adversarial, tuple(batch.extra), shapes


def _noting(read: set[str]) -> type[Translation]:
    """Translations that note which of the host's numbers a loss reads."""

    class Watched(Translation):
        def __getattribute__(self, name: str) -> Any:
            if name in ON_HOST:
                read.add(name)
            return super().__getattribute__(name)

    return Watched
