"""Evaluation while a run trains: metrics on the validation pairs, and the best weights kept.

The split `test` has no part in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from p2ptk.config import RunConfig
from p2ptk.data import Data
from p2ptk.errors import UserError, did_you_mean
from p2ptk.metrics.scoring import Scoring, usual_metrics
from p2ptk.metrics.setting import Setting, stored_targets
from p2ptk.observe import Observer
from p2ptk.pairs.batch import Batch, fixed_batch
from p2ptk.runfolder import RunFolder
from p2ptk.weights import ModelHeader, save_generator

START = "val_"  # of the values' names in metrics.jsonl
BATCH = 4
TRIED = 4  # pairs that the metrics are tried on before the first step


class Translate(Protocol):
    """The generator as it would be used now, on sources N C H W; seed: of its noise."""

    def __call__(self, source: Tensor, seed: int = 0) -> Tensor: ...


@dataclass(frozen=True)
class Best:
    """The best value so far of the metric that weights are kept by, and its step."""

    metric: str
    value: float
    step: int


class Validator:
    """Scores a run's translations of its validation pairs, every so many steps.

    best: what `best.safetensors` holds; None before the first evaluation.
    latest: values by name, as they are logged, of the last evaluation; `step` says of when.
    Raises UserError or Unavailable, before step 0, for metrics that can't be had or do not suit
    the pairs, and for a metric to select by that is none of them.
    """

    def __init__(
        self,
        config: RunConfig,
        data: Data,
        folder: RunFolder,
        device: torch.device,
        observer: Observer,
    ) -> None:
        self.config, self.data, self.folder, self.device = config, data, folder, device
        self.observer = observer
        self.every = config.output.evaluate_every
        self.best: Best | None = None
        self.latest: dict[str, float] = {}
        self.step = -1
        targets = stored_targets(data.val, config.direction == "BtoA")
        self.setting = Setting(data.source, data.target, targets)
        if self.every:
            self._try()
        elif config.metrics:
            observer.note("metrics are named, but none is computed without --evaluate-every N")

    def shown(self) -> Batch:
        """The pairs of the sample sheets, spread evenly over the split."""
        pairs = len(self.data.val)
        count = min(self.config.output.samples, pairs)
        return self.batch([i * pairs // count for i in range(count)])

    def batch(self, numbers: Sequence[int]) -> Batch:
        """Validation pairs by number, as at test time."""
        config, data = self.config, self.data
        return fixed_batch(
            data.val,
            numbers,
            data.dataset.a,
            data.dataset.b,
            direction=config.direction,
            size=config.val_size or config.size,
            augmentations=[a for a in data.augmentations if a.stage == "derive"],
            device=self.device,
        )

    def due(self, step: int, total: int) -> bool:
        """Whether a step is one of those evaluated: every so many, and the last of the run.

        It depends on the step alone, so that a run that was stopped and resumed selects alike.
        """
        return bool(self.every) and step > 0 and (step % self.every == 0 or step == total)

    def logged(self, step: int) -> dict[str, float]:
        """The values for the log's line of a step; nothing where it was not evaluated."""
        return self.latest if step == self.step else {}

    @torch.no_grad()
    def evaluate(
        self, translate: Translate, weights: nn.Module, header: ModelHeader, step: int
    ) -> None:
        """Score the generator as it stands, keep its weights if they are the best, and say so."""
        scoring = Scoring(self._specs(), self.setting)
        for batch in self._batches():
            self._score(scoring, batch, translate)
        values = scoring.values()
        self.latest = {START + name: value for name, value in values.items()}
        self.step = step
        words = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        words = f"validation at step {step}: {words}"
        name, higher = self._selected(scoring, values)
        if self._better(values[name], higher):
            self.best = Best(name, values[name], step)
            finite = {k: v for k, v in values.items() if math.isfinite(v)}
            about = {"step": step, "validation": finite, "best_by": name}
            save_generator(self.folder.best, weights, header.model_copy(update=about))
            words += f" (the best so far, kept in {self.folder.best.name})"
        elif self.best:
            words += f" (best {name}: {self.best.value:.4g} at step {self.best.step})"
        self.observer.note(words)

    def state(self) -> dict[str, Any] | None:
        """What a resumed run goes on from."""
        return asdict(self.best) if self.best else None

    def restore(self, state: Mapping[str, Any] | None) -> None:
        """Go on from what `state` gave."""
        self.best = Best(**state) if state else None

    def _specs(self) -> list[Any]:
        return list(self.config.metrics.values()) or list(usual_metrics(self.data.target))

    def _batches(self) -> Iterator[Batch]:
        pairs = len(self.data.val)
        for start in range(0, pairs, BATCH):
            yield self.batch(range(start, min(start + BATCH, pairs)))

    def _score(self, scoring: Scoring, batch: Batch, translate: Translate) -> None:
        def picture(seed: int = 0) -> Tensor:
            return self.data.restore(batch.source, translate(batch.source, seed))

        def draw(count: int) -> Tensor:
            return torch.stack([picture(seed) for seed in range(count)])

        noisy = draw if self.config.inference.dropout else None
        target = self.data.restore(batch.source, batch.target)
        scoring.update(picture(), target, batch.source, noisy)

    def _try(self) -> None:
        """Score the targets themselves, so that what would fail later fails now."""
        scoring = Scoring(self._specs(), self.setting)
        batch = self.batch(range(min(TRIED, len(self.data.val))))
        self._score(scoring, batch, lambda source, seed=0: batch.target)
        values = scoring.values()
        if scoring.failed:
            raise next(iter(scoring.failed.values()))
        self._selected(scoring, values)

    def _selected(self, scoring: Scoring, values: Mapping[str, float]) -> tuple[str, bool]:
        """The value that weights are kept by, and whether higher is better.

        `output.best` names it, whole or up to its protocol; else it is the first with a direction.
        """
        wanted = self.config.output.best
        directions = scoring.directions(values)
        for name, higher in directions.items():
            if higher is not None and wanted in (None, name):
                return name, higher
        for name, higher in directions.items():
            if higher is not None and name.startswith(f"{wanted}-"):
                return name, higher
        if wanted is None:
            raise UserError("none of the metrics says whether higher is better: add one that does.")
        known = [name for name, higher in directions.items() if higher is not None]
        raise UserError(f"output.best: no metric gives {wanted!r}: {did_you_mean(wanted, known)}")

    def _better(self, value: float, higher: bool) -> bool:
        if not math.isfinite(value):
            return False
        if self.best is None:
            return True
        return value > self.best.value if higher else value < self.best.value
