"""How far a study is, and what one of its variants is, in plain values."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from p2ptk.errors import UserError, did_you_mean
from p2ptk.runfolder import RunFolder
from p2ptk.study.differences import differences
from p2ptk.study.plan import Plan
from p2ptk.study.records import Result, Variant


def run_rows(plan: Plan, results: Sequence[Result]) -> list[dict[str, Any]]:
    """A dict a run: variant, seed, status, step of steps, values, folder, key."""
    rows = []
    for task, result in zip(plan.tasks, results, strict=True):
        row: dict[str, Any] = {
            "variant": result.variant,
            "seed": result.seed,
            "status": result.status,
            "reason": result.reason,
            "attempts": result.attempts,
            "key": result.key,
        }
        config = plan.configs.get(result.variant)
        if config is not None:
            total = config.train.steps or 0
            row["step"] = total if result.status == "done" else step_of(task.job.folder)
            row["steps"] = total
            row["folder"] = str(task.job.folder)
        rows.append({**row, "metrics": dict(result.metrics)})
    return rows


def count_in_words(results: Sequence[Result]) -> str:
    """`4 of 6 runs done, 1 running, 1 diverged`."""
    counts = Counter(result.status for result in results)
    done = counts.pop("done", 0)
    rest = "".join(f", {n} {status}" for status, n in sorted(counts.items()))
    return f"{done} of {len(results)} runs done{rest}"


def step_of(folder: Path) -> int:
    """The last step that a run has logged; 0 before the first."""
    try:
        with RunFolder(folder).metrics.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 16384))
            lines = file.read().splitlines()
    except OSError:
        return 0
    for line in reversed(lines):
        try:
            return int(json.loads(line)["step"])
        except (ValueError, KeyError, TypeError):
            continue
    return 0


def find_variant(plan: Plan, label: str) -> Variant:
    """A variant by its label. Raises UserError with the nearest one."""
    for variant in plan.variants:
        if variant.label == label:
            return variant
    near = did_you_mean(label, [variant.label for variant in plan.variants])
    raise UserError(f"{plan.name} has no variant {label!r}: {near}")


def to_baseline(plan: Plan, variant: Variant) -> dict[str, tuple[str, str]]:
    """By config key: the baseline's value and the variant's, where they differ; none for pictures
    that were not made here, or next to such a baseline."""
    baseline = next(v for v in plan.variants if v.baseline)
    if variant.label not in plan.configs or baseline.label not in plan.configs:
        return {}
    return differences(plan.configs[baseline.label], plan.configs[variant.label])
