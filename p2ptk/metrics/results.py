"""What an evaluation found, for tables, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import p2ptk
from p2ptk.errors import P2ptkError
from p2ptk.files import write_atomically
from p2ptk.metrics.intervals import RESAMPLES

FORMAT = 1
INTERVALS = (
    f"95 %, by the bootstrap over pairs (BCa, {RESAMPLES:,} draws, seed 0); of kernel distances by "
    "the jackknife over pairs"
)


@dataclass(frozen=True)
class Score:
    """One value of a metric over a set of pairs.

    low, high: its 95 % interval; None where it has none. n: pairs.
    metric: the spec that it came from. protocol: how it is defined, in a line.
    """

    name: str
    value: float
    n: int
    metric: str
    low: float | None = None
    high: float | None = None
    higher_is_better: bool | None = None
    protocol: str = ""


@dataclass
class Evaluation:
    """All scores of an evaluation.

    names: of the pairs, in order. per_image: by value's name a score a pair.
    failed: by the metric's spec why it gave nothing. about: model, data, split, size ...
    """

    scores: list[Score] = field(default_factory=list)
    names: tuple[str, ...] = ()
    per_image: dict[str, list[float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    failed: dict[str, P2ptkError] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def values(self) -> dict[str, float]:
        return {score.name: score.value for score in self.scores}

    @property
    def exit_code(self) -> int:
        """That of the gravest failure; 0 where all metrics came out."""
        return max((error.exit_code for error in self.failed.values()), default=0)

    def table(self) -> dict[str, Any]:
        """Plain values for JSON; what is not finite becomes None."""
        return {
            "format": FORMAT,
            "version": p2ptk.__version__,
            **self.about,
            "pairs": len(self.names),
            "intervals": INTERVALS,
            "metrics": {name: _finite(value) for name, value in self.values.items()},
            "scores": [
                {key: _finite(value) for key, value in asdict(score).items()}
                for score in self.scores
            ],
            "failed": {spec: str(error) for spec, error in self.failed.items()},
            "notes": self.notes,
        }

    def write_json(self, path: Path) -> None:
        """Raises UserError or P2ptkError where it can't be written."""
        text = json.dumps(self.table(), indent=1, allow_nan=False)
        write_atomically(path, text.encode())

    def write_per_image(self, path: Path) -> None:
        """A CSV: name, then a column a value; a row a pair, in order. Raises as `write_json`."""
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(["name", *self.per_image])
        for number, name in enumerate(self.names):
            rows.writerow([name, *(repr(scores[number]) for scores in self.per_image.values())])
        write_atomically(path, text.getvalue().encode())


def shown(score: Score) -> tuple[str, str]:
    """The value and its interval in as many digits as the value deserves: four of it."""
    size = abs(score.value)
    digits = 4 if not size or not math.isfinite(size) else 3 - math.floor(math.log10(size))
    digits = max(1, min(digits, 6))
    interval = ""
    if score.low is not None and score.high is not None:
        interval = f"{score.low:.{digits}f} to {score.high:.{digits}f}"
    return f"{score.value:.{digits}f}", interval


def better_by_name(declared: bool | Mapping[str, bool] | None, name: str) -> bool | None:
    """What a metric's `higher_is_better` says of one of its values."""
    return declared.get(name) if isinstance(declared, Mapping) else declared


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
