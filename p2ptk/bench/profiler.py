"""Where a step's time goes, by torch's profiler."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from rich.box import SIMPLE_HEAD
from rich.table import Table
from torch.profiler import ProfilerActivity, profile

from p2ptk.bench.paths import Case, Way, start

STEPS = 3


class Operation(NamedTuple):
    """An operation's own time in a step, without what it calls. calls: in a step."""

    name: str
    calls: float
    ms: float
    share: float


def profile_way(case: Case, way: Way, trace: Path, warm_up: int) -> list[Operation]:
    """Write a trace of three steps that chrome://tracing reads; gives operations, dearest first."""
    device = torch.device(case.device)
    on_gpu = device.type == "cuda"
    racer = start(case, way)
    try:
        racer.enter()
        for _ in range(warm_up):
            racer.step()
        racer.finish()
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
        with profile(activities=activities) as seen:
            for _ in range(STEPS):
                racer.step()
            racer.finish()
    finally:
        racer.close()
    trace.parent.mkdir(parents=True, exist_ok=True)
    seen.export_chrome_trace(str(trace))
    spent = [
        (e.key, e.count, e.self_device_time_total if on_gpu else e.self_cpu_time_total)
        for e in seen.key_averages()
    ]
    total = sum(us for *_, us in spent) or 1.0
    spent.sort(key=lambda row: -row[2])
    return [
        Operation(name, count / STEPS, us / 1000 / STEPS, us / total) for name, count, us in spent
    ]


def dearest(operations: list[Operation], title: str) -> Table:
    """The ten dearest."""
    made = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    made.add_column("operation")
    for name in ("calls a step", "ms a step", "share"):
        made.add_column(name, justify="right")
    for each in operations[:10]:
        made.add_row(each.name[:60], f"{each.calls:.0f}", f"{each.ms:.2f}", f"{each.share:.0%}")
    return made
