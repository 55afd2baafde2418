"""Evaluations of a run as `p2ptk evaluate` left them, and the best and the worst pairs."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p2ptk.metrics.results import Score, shown
from p2ptk.report.looks import Pixels, distance
from p2ptk.report.samples import Samples

SHOWN = 3  # best ones, and as many worst


@dataclass(frozen=True)
class Judged:
    """A pair and its score. pictures: source, output and target, where they are at hand."""

    name: str
    value: float
    pictures: tuple[Pixels, ...] = ()


@dataclass(frozen=True)
class Extremes:
    """The best pairs, best first, and the worst, worst first, by one value."""

    metric: str
    where: str
    best: tuple[Judged, ...]
    worst: tuple[Judged, ...]


def read_evaluations(run: Path) -> list[dict[str, Any]]:
    """What the files evaluation-SPLIT.json hold; one that can't be read is left out."""
    found = []
    for path in sorted(run.glob("evaluation-*.json")):
        try:
            table = json.loads(path.read_text("utf-8"))
            rows = [_row(score) for score in table["scores"]]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        split = str(table.get("split", path.stem.removeprefix("evaluation-")))
        found.append(
            {
                "split": split,
                "data": str(table.get("data", "")),
                "pairs": table.get("pairs"),
                "step": table.get("step"),
                "rows": rows,
                "notes": [*map(str, table.get("notes", ()))],
            }
        )
    return found


def _row(found: Mapping[str, Any]) -> dict[str, Any]:
    value, low, high = (found.get(key) for key in ("value", "low", "high"))
    score = Score(str(found["name"]), value or 0.0, int(found.get("n") or 0), "", low, high)
    number, interval = shown(score)
    better = found.get("higher_is_better")
    return {
        "name": score.name,
        "value": "not finite" if value is None else number,
        "interval": interval,
        "n": score.n,
        "better": "" if better is None else "↑" if better else "↓",
        "protocol": str(found.get("protocol") or ""),
    }


def ranked(run: Path) -> tuple[str, str, list[tuple[str, float]]] | None:
    """The pairs of an evaluation, best first: the metric, the split, (name, score).

    By the first value of per_image-SPLIT.csv whose direction the evaluation states, of the split
    that sorts first. None where there is none.
    """
    for path in sorted(run.glob("per_image-*.csv")):
        split = path.stem.removeprefix("per_image-")
        try:
            table = json.loads((run / f"evaluation-{split}.json").read_text("utf-8"))
            better = {s["name"]: s.get("higher_is_better") for s in table["scores"]}
            with path.open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
            metric = next(n for n in rows[0] if n != "name" and better.get(n) is not None)
            scores = [(row["name"], float(row[metric])) for row in rows]
        except (OSError, ValueError, KeyError, TypeError, IndexError, StopIteration):
            continue
        scores.sort(key=lambda pair: pair[1], reverse=bool(better[metric]))
        return metric, split, scores
    return None


def extremes(
    run: Path, samples: Samples, pictures: Mapping[str, tuple[Pixels, ...]] | None = None
) -> Extremes | None:
    """Best and worst pairs: of the evaluation where there is one, else of the shown pairs.

    pictures: (source, output, target) by the names of the evaluated pairs; a pair without any is
    shown from the newest sheet if it is there, else named only.
    """
    shown = _shown(samples)
    found = ranked(run)
    if found:
        metric, split, scores = found
        known = {**shown, **(pictures or {})}
        judged = [Judged(name, value, known.get(name, ())) for name, value in scores]
        where = f"of the {len(scores):,} pairs of {split}, by {metric}"
        if any(j.pictures for j in (*judged[:SHOWN], *judged[-SHOWN:])):
            return _ends(metric, where, judged)
    if len(shown) < 2:
        return None
    judged = [Judged(name, distance(x[1:2], x[2:3]), x) for name, x in shown.items()]
    judged.sort(key=lambda j: j.value)
    where = f"of the {len(judged)} pairs shown above, by their mean distance to the target"
    return _ends("distance", where, judged)


def _ends(metric: str, where: str, judged: Sequence[Judged]) -> Extremes:
    count = min(SHOWN, len(judged) // 2)
    return Extremes(metric, where, tuple(judged[:count]), tuple(reversed(judged[-count:])))


def _shown(samples: Samples) -> dict[str, tuple[Pixels, ...]]:
    if not samples.paired:
        return {}
    newest = samples.frames[-1].outputs
    rows = zip(samples.sources, newest, samples.targets, strict=True)
    return dict(zip(samples.names, rows, strict=True))
