"""Learning curves of a study's variants, each with a band over its seeds."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from p2ptk.report.curves import Values, read_columns, smooth
from p2ptk.runfolder import RunFolder
from p2ptk.study.records import Evidence

SHOWN = 4  # panels
POINTS = 200  # of a line
Lines = list[tuple[Values, Values]]  # (steps, values) a run


@dataclass(frozen=True)
class Course:
    """A variant's mean over its seeds, and the range they span, over the steps all have reached."""

    steps: Values
    mean: Values
    low: Values
    high: Values


def courses(evidence: Evidence) -> dict[str, dict[str, Course]]:
    """By what was logged, then by variant: validation values first, then the generator's terms.

    Terms are divided by their weights, so that variants of other weights can be compared; a term
    that only one of several variants has is left out. Runs that were cut short are in it, too.
    """
    logged: dict[str, dict[str, Lines]] = {}
    for variant in evidence.variants:
        for result in evidence.of(variant):
            if result.folder:
                for name, line in _lines(evidence.root / result.folder).items():
                    logged.setdefault(name, {}).setdefault(variant.label, []).append(line)
    several = sum(any(r.folder for r in evidence.of(v)) for v in evidence.variants) > 1
    primary = f"val_{evidence.protocol.primary}"
    order = sorted(logged, key=lambda n: (n != primary, not n.startswith("val_"), n))
    shown = [name for name in order if len(logged[name]) > 1 or not several][:SHOWN]
    return {
        name.removeprefix("g_").replace("val_", "validation "): {
            label: course for label, lines in logged[name].items() if (course := _course(lines))
        }
        for name in shown
    }


def _lines(run: Path) -> dict[str, tuple[Values, Values]]:
    """What a run logged, by name; nothing where its log can't be read."""
    try:
        rows = RunFolder(run).read_log()
    except OSError:
        return {}
    found: dict[str, tuple[Values, Values]] = {}
    weights = _weights(run / "run.toml")
    for name in dict.fromkeys(key for row in rows for key in row):
        if not name.startswith(("val_", "g_")) or name.endswith("_loss"):
            continue
        columns = read_columns([row for row in rows if row.get(name) is not None])
        values = columns.get(name)
        if values is None or len(values) < 2:
            continue
        if name.startswith("g_"):
            values = smooth(values) / weights.get(name.removeprefix("g_"), 1.0)
        found[name] = columns["step"], values
    return found


def _weights(config: Path) -> Mapping[str, float]:
    """The weights of a run's losses by their keys; those of 0 are no use here."""
    try:
        losses = tomllib.loads(config.read_text("utf-8")).get("losses", [])
        found = {item.get("as", item["name"]): float(item.get("weight", 1)) for item in losses}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {key: weight for key, weight in found.items() if weight}


def _course(lines: Lines) -> Course | None:
    """Several runs on the steps that all of them have reached."""
    first = max(float(steps[0]) for steps, _ in lines)
    last = min(float(steps[-1]) for steps, _ in lines)
    if last <= first:
        return None
    grid = np.linspace(first, last, POINTS)
    table = np.stack([np.interp(grid, steps, values) for steps, values in lines])
    return Course(grid, table.mean(0), table.min(0), table.max(0))
