"""Several metrics over the same batches; one that can't go on does not stop the others."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from p2ptk.components import resolve
from p2ptk.contracts import Side
from p2ptk.errors import P2ptkError, Unavailable, UserError
from p2ptk.metrics.intervals import mean_interval
from p2ptk.metrics.results import Evaluation, Score, better_by_name
from p2ptk.metrics.setting import Setting
from p2ptk.specs import Spec

Draw = Callable[[int], Tensor]


class Scoring:
    """Metrics under way.

    failed: by spec, those that were left out and why.
    Raises UserError for an unknown metric or parameter, or when the last metric fails (then as
    that one did), so that something is always left to compute.
    """

    def __init__(self, specs: Sequence[str | Spec], setting: Setting) -> None:
        found = {str(Spec.of(spec)): resolve("metric", Spec.of(spec)) for spec in specs}
        self.metrics: dict[str, Any] = {}
        self.failed: dict[str, P2ptkError] = {}
        self.setting = setting
        for spec, resolved in found.items():
            try:
                self.metrics[spec] = resolved.build()
            except Unavailable as error:
                self._drop(spec, error)
        self._each("prepare", setting)
        self._need_one()

    @property
    def samples(self) -> int:
        """Translations of each source that are asked for, under other noise each; 0 if none."""
        found = (metric.samples for metric in self.metrics.values() if _samples(metric))
        return max(found, default=0)

    def update(self, fake: Tensor, target: Tensor, source: Tensor, draw: Draw | None) -> None:
        """fake, target, source: N C H W. draw: n -> n translations of each source, n N C H W."""
        with exact():
            fakes = draw(self.samples) if draw and self.samples else None
            for spec, metric in list(self.metrics.items()):
                try:
                    if not _samples(metric):
                        metric.update(fake, target, source)
                    elif fakes is None:
                        raise UserError(_one_each(spec))
                    else:
                        metric.update_samples(fakes[: metric.samples], target, source)
                except (UserError, Unavailable) as error:
                    self._drop(spec, error)
        self._need_one()

    def values(self) -> dict[str, float]:
        """The values so far, by name."""
        found: dict[str, float] = {}
        for spec, metric in list(self.metrics.items()):
            try:
                found |= {k: v for k, v in metric.compute().items() if k not in found}
            except (UserError, Unavailable) as error:
                self._drop(spec, error)
        return found

    def directions(self, names: Iterable[str]) -> dict[str, bool | None]:
        """Whether higher is better, by the values' names; None where no metric says."""
        found: dict[str, bool | None] = dict.fromkeys(names)
        for metric in self.metrics.values():
            declared = getattr(metric, "higher_is_better", None)
            for name in metric.compute():
                if found.get(name) is None:
                    found[name] = better_by_name(declared, name)
        return found

    def finish(self, names: Sequence[str]) -> Evaluation:
        """All values with their intervals, of the pairs of these names."""
        done = Evaluation(names=tuple(names), failed=self.failed)
        for spec, metric in list(self.metrics.items()):
            try:
                scores = read_scores(spec, metric, len(names))
            except (UserError, Unavailable) as error:
                self._drop(spec, error)
                continue
            known = {score.name for score in done.scores}
            done.scores += [score for score in scores if score.name not in known]
            images = dict(getattr(metric, "values", {}))
            fits = {k: v for k, v in images.items() if len(v) == len(names)}
            done.per_image |= {k: v for k, v in fits.items() if k not in done.per_image}
            told = metric.notes() if hasattr(metric, "notes") else []
            done.notes += [note for note in told if note not in done.notes]
        self._need_one()
        return done

    def _each(self, method: str, *values: Any) -> None:
        for spec, metric in list(self.metrics.items()):
            if hasattr(metric, method):
                try:
                    getattr(metric, method)(*values)
                except (UserError, Unavailable) as error:
                    self._drop(spec, error)

    def _drop(self, spec: str, error: P2ptkError) -> None:
        self.metrics.pop(spec, None)
        self.failed[spec] = error

    def _need_one(self) -> None:
        if not self.metrics and self.failed:
            if len(self.failed) == 1:
                raise next(iter(self.failed.values()))
            sentences = " ".join(str(error) for error in self.failed.values())
            gravest = max(self.failed.values(), key=lambda error: error.exit_code)
            raise type(gravest)(f"no metric came out. {sentences}")


def usual_metrics(target: Side) -> tuple[str, ...]:
    """What is computed where nobody asks for more, by what the target holds."""
    return ("palette-accuracy",) if target.kind == "labels" else ("psnr", "ssim", "l1")


def read_scores(spec: str, metric: Any, n: int) -> list[Score]:
    """A metric's values with intervals: its own, or the bootstrap over images of a mean."""
    values: dict[str, float] = metric.compute()
    intervals = dict(metric.intervals()) if hasattr(metric, "intervals") else {}
    images = getattr(metric, "values", {})
    scores = []
    for name, value in values.items():
        interval = intervals.get(name)
        if name not in intervals and len(images.get(name, ())) == n > 1:
            mean = math.fsum(images[name]) / n
            if math.isclose(mean, value, rel_tol=1e-9, abs_tol=1e-12):
                interval = mean_interval(images[name])
        low, high = interval or (None, None)
        better = better_by_name(getattr(metric, "higher_is_better", None), name)
        about = str(getattr(metric, "protocol", "") or _first_paragraph(metric))
        scores.append(Score(name, float(value), n, spec, low, high, better, about))
    return scores


@contextmanager
def exact() -> Iterator[None]:
    """Without TF32, whose rounding shows in distances between features."""
    switches: list[Any] = [torch.backends.cuda.matmul, torch.backends.cudnn]
    before = [switch.allow_tf32 for switch in switches]
    for switch in switches:
        switch.allow_tf32 = False
    try:
        yield
    finally:
        for switch, value in zip(switches, before, strict=True):
            switch.allow_tf32 = value


def _samples(metric: Any) -> bool:
    return hasattr(metric, "update_samples")


def _one_each(spec: str) -> str:
    return (
        f"{spec} compares several translations of a source, and here each has one: it needs a "
        "model that draws noise (trained with dropout and inference.dropout=true)."
    )


def _first_paragraph(metric: Any) -> str:
    """The docstring's beginning, without the value's name before it."""
    text = (inspect.getdoc(type(metric)) or "").partition("\n\n")[0].replace("\n", " ")
    start, colon, rest = text.partition("`: ")
    return rest if colon and start.startswith("`") else text
