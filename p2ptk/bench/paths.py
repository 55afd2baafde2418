"""What is compared: the plain loop, and the ways p2ptk can take through the same training."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from p2ptk.bench.plain import PlainLoop
from p2ptk.build import build_parts, resolve_config
from p2ptk.components import create
from p2ptk.config import RunConfig, Train
from p2ptk.data import build_data
from p2ptk.device import keep_memory, prepare, wait_for
from p2ptk.init import initialise
from p2ptk.layers import layers_of
from p2ptk.manifest import make_header
from p2ptk.observe import Observer
from p2ptk.runfolder import RunFolder
from p2ptk.train import Trainer

PLAIN = "plain loop"
READ_EVERY = 50  # steps between two readings of the losses, as in a long run


@dataclass(frozen=True)
class Case:
    """What all paths train on. folder: side-by-side pictures, as `draw_pairs` makes them."""

    folder: str
    size: int
    batch_size: int
    device: str
    generator: str = "unet"
    discriminator: str = "patchgan"
    workers: int = 4


@dataclass(frozen=True)
class Way:
    """A way to train.

    settings: of the config's section `train`; None is the plain loop. default: whether it is what
        `p2ptk run --precision P` does on the device.
    """

    name: str
    precision: str
    settings: Mapping[str, Any] | None
    default: bool = False

    @property
    def frugal(self) -> bool:
        """Whether memory is the point of it, or what others' is compared with."""
        return self.settings is None or "checkpoint_activations" in self.settings


def ways_of(
    device: torch.device,
    precisions: Sequence[str],
    *,
    quick: bool = False,
    compiled: bool = False,
    recomputed: bool = False,
) -> list[Way]:
    """The plain loop first; then, for each precision, from the plainest way to the fastest, each
    with what the one before it has.

    quick: the default ways and the fastest alone. compiled: with compiled networks, too.
    recomputed: with `--checkpoint-activations`, too.
    """
    extra = {"cpu": "deep_products", "cuda": "graph"}.get(device.type)
    off: dict[str, Any] = {"channels_last": False, **({extra: False} if extra else {})}
    steps = [("contiguous", off), ("channels-last", {**off, "channels_last": True})]
    if extra:
        steps.append((extra.replace("_", " "), {"channels_last": True, extra: True}))
    more: list[tuple[str, dict[str, Any]]] = []
    more += [("compiled", {"compile": True})] if compiled else []
    more += [("recomputed", {"checkpoint_activations": True})] if recomputed else []
    usual = {
        words for words, settings in steps if all(getattr(Train(), k) == settings[k] for k in off)
    }
    if quick:
        steps = [step for step in steps if step[0] in usual or step == steps[-1]]
    return [
        Way(PLAIN, "fp32", None),
        *(
            Way(f"{precision}, {words}", precision, settings, words in usual)
            for precision in precisions
            for words, settings in steps + more
        ),
    ]


class Plain:
    """The plain loop as something that can be measured."""

    def __init__(self, case: Case) -> None:
        torch.manual_seed(0)
        networks = []
        for kind, spec in (
            ("generator", case.generator),
            ("discriminator", case.discriminator),
        ):
            networks.append(create(kind, spec, source_channels=3, target_channels=3))
            initialise(networks[-1])
        self.loop = PlainLoop(
            sorted(Path(case.folder, "train").iterdir()),
            *networks,
            size=case.size,
            batch_size=case.batch_size,
            device=torch.device(case.device),
            workers=case.workers,
        )
        self.notes: list[str] = []

    @property
    def waited(self) -> float:
        return self.loop.waited

    def enter(self) -> None:
        keep_memory(False)

    def step(self) -> None:
        self.loop.step()

    def finish(self) -> None:
        wait_for(self.loop.device)

    def close(self) -> None:
        self.loop.close()


class _Notes(Observer):
    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


class Ours:
    """p2ptk's own training, without what a run writes."""

    def __init__(self, case: Case, way: Way) -> None:
        settings: dict[str, Any] = {
            "data": {"name": "side-by-side", "path": case.folder},
            "generator": case.generator,
            "discriminator": case.discriminator,
            "size": case.size,
            "precision": way.precision,
            "device": case.device,
            "cache": False,
            "train": {"batch_size": case.batch_size, "steps": 10**9, **(way.settings or {})},
        }
        config = resolve_config(RunConfig.of(*layers_of({}), settings))
        self.device = torch.device(case.device)
        prepare(self.device, config.deterministic)
        data = build_data(config)
        parts = build_parts(config, data)
        header = make_header(config, data, parts, None)
        self.place = tempfile.TemporaryDirectory()
        observer = _Notes()
        folder = RunFolder(self.place.name)
        self.trainer = Trainer(config, data, parts, folder, header, observer)
        self.notes = observer.said

    @property
    def waited(self) -> float:
        return self.trainer.feed.waited

    def enter(self) -> None:
        if self.device.type == "cpu":
            keep_memory()

    def step(self) -> None:
        self.trainer.update()
        self.trainer.step += 1
        if self.trainer.step % READ_EVERY == 0:
            self.trainer.sums.means()

    def finish(self) -> None:
        wait_for(self.device)

    def close(self) -> None:
        self.trainer.feed.close()
        self.place.cleanup()


def start(case: Case, way: Way) -> Plain | Ours:
    """Build it, ready for its first step."""
    return Plain(case) if way.settings is None else Ours(case, way)
