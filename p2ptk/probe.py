"""How fast training steps are, and what memory they take, batch size by batch size.

`p2ptk run --batch-size auto` takes the batch size from here.
"""

from __future__ import annotations

import copy
import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import torch

from p2ptk.build import build_parts, place
from p2ptk.config import RunConfig
from p2ptk.data import Data, build_data
from p2ptk.device import choose_device, choose_precision, lacks_memory, peak_memory
from p2ptk.errors import UserError
from p2ptk.feed import fixed_batch
from p2ptk.pairs.augment import Judged
from p2ptk.pairs.memory import free_memory
from p2ptk.step import Step, adversarial_step

GAIN = 1.1  # how much faster a doubled batch must be to be worth it
LARGEST = 1024


class Trial(NamedTuple):
    """A batch size that was tried; peak_bytes is of the GPU, or of the process on a CPU."""

    batch: int
    images_per_s: float
    peak_bytes: int


def probe(
    config: RunConfig,
    data: Data | None = None,
    *,
    seconds: float = 1.0,
    tried: Callable[[Trial], object] = lambda trial: None,
    **objects: Any,
) -> list[Trial]:
    """Take a few steps with 1, 2, 4, 8 ... pairs (times `train.accumulate`) while each doubling
    makes them faster by a tenth, fits in memory, and is no more than there are pairs.

    config: resolved; its batch size has no say. data: opened already, if it is. seconds: of steps a
    batch size, at the least three steps. tried: told of each trial as it is done.
    objects: `generator`, `discriminator`, `losses` in place of their specs; copies are trained.
    Nothing is left behind: networks are thrown away, and the random state is as it was.
    Raises UserError where not even the smallest batch fits.
    """
    device = choose_device(config.device)
    data = data or build_data(config)
    on_cuda = device.type == "cuda"
    trials: list[Trial] = []
    with torch.random.fork_rng(devices=[device] if on_cuda else []):
        measure = _Measure(config, data, device, seconds, objects)
        try:
            for batch in _sizes(config.train.accumulate, len(data.train)):
                if not on_cuda and _swaps(trials, device):
                    break
                trial = measure(batch)
                if trial is None:
                    break
                trials.append(trial)
                tried(trial)
                if len(trials) > 1 and trial.images_per_s < GAIN * trials[-2].images_per_s:
                    break
        finally:
            del measure
            _let_go(device)
    if not trials:
        height, width = config.size
        raise UserError(
            f"not even a batch of {config.train.accumulate} at {height}x{width} fits in memory: "
            "lower --size, or take a smaller generator."
        )
    return trials


def try_batch(
    config: RunConfig, batch: int, data: Data | None = None, *, seconds: float = 1.0
) -> Trial | None:
    """How fast steps of this many pairs are; None where they do not fit in memory.

    Arguments, and what is left behind, as for `probe`.
    """
    device = choose_device(config.device)
    data = data or build_data(config)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        measure = _Measure(config, data, device, seconds, {})
        try:
            return measure(batch)
        finally:
            del measure
            _let_go(device)


def best(trials: list[Trial]) -> Trial:
    """The smallest batch whose speed no doubling beat by a tenth."""
    chosen = trials[0]
    for trial in trials[1:]:
        if trial.images_per_s >= GAIN * chosen.images_per_s:
            chosen = trial
    return chosen


def settle_batch_size(
    config: RunConfig,
    data: Data,
    note: Callable[[str], object],
    processes: int = 1,
    **objects: Any,
) -> RunConfig:
    """The config with a number where its batch size was `auto`; `note` is told what was tried.

    processes: those that share the batch, each of which takes what was found for one.
    """
    if config.train.batch_size:
        return config

    def say(trial: Trial) -> None:
        memory = f"{trial.peak_bytes / 2**30:.1f} GiB"
        note(f"batch size {trial.batch}: {trial.images_per_s:.1f} images/s, {memory}")

    chosen = best(probe(config, data, tried=say, **objects))
    note(f"batch size {chosen.batch} is taken: twice as many are not a tenth faster, or don't fit")
    train = config.train.model_copy(update={"batch_size": chosen.batch * processes})
    return config.model_copy(update={"train": train})


class _Measure:
    """Networks of its own, stepped on some of the pairs."""

    def __init__(
        self,
        config: RunConfig,
        data: Data,
        device: torch.device,
        seconds: float,
        objects: dict[str, Any],
    ) -> None:
        self.config, self.device, self.seconds = config, device, seconds
        # Augmentations that watch the discriminator remember what they saw.
        self.data = replace(data, augmentations=copy.deepcopy(data.augmentations))
        parts = build_parts(config, self.data, **copy.deepcopy(objects))
        precision = choose_precision(config.precision, device)
        self.networks = place(parts, config.train, device, precision)
        self.losses = parts.losses
        self.judged = Judged(parts.augmentations, config.seed, config.size, device)

    def __call__(self, batch: int) -> Trial | None:
        """The fastest of some steps, or None where the batch does not fit."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        try:
            step = self._step_on(batch)
            step()  # sets things up
            times = [step() for _ in range(3)]
            while sum(times) < self.seconds:
                times.append(step())
        except (MemoryError, RuntimeError) as error:
            if not lacks_memory(error):
                raise
            return None
        finally:
            _let_go(self.device)
        return Trial(batch, batch / min(times), peak_memory(self.device))

    def _step_on(self, batch: int) -> Callable[[], float]:
        """A function that takes a step and says how many seconds it took."""
        config, data = self.config, self.data
        pairs = fixed_batch(
            data.train,
            [i % len(data.train) for i in range(batch)],
            data.dataset.a,
            data.dataset.b,
            direction=config.direction,
            size=config.size,
            augmentations=data.augmentations,
            device=self.device,
        )
        see = self.judged.draw(range(batch))
        plan = Step(judge=config.train.judge, accumulate=config.train.accumulate, see=see)

        def step() -> float:
            began = time.perf_counter()
            adversarial_step(self.networks, self.losses, pairs, plan)
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            return time.perf_counter() - began

        return step


def _sizes(first: int, most: int) -> Iterator[int]:
    """first, 2 first, 4 first ... as far as `most` and LARGEST allow, but `first` in any case."""
    batch = first
    while batch == first or batch <= min(most, LARGEST):
        yield batch
        batch *= 2


def _swaps(trials: list[Trial], device: torch.device) -> bool:
    """Whether twice the last batch would need more main memory than is left, where a process is
    not told but killed: what the last doubling added, it adds twice."""
    if len(trials) < 2:
        return False
    added = trials[-1].peak_bytes - trials[-2].peak_bytes
    return 2 * added > free_memory(device)


def _let_go(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
