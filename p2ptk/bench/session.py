"""A whole measurement: every size and batch, every way, in one process."""

from __future__ import annotations

import gc
import os
import platform
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import p2ptk
from p2ptk.bench.measure import Racer, race, times_faster
from p2ptk.bench.memory import peak_of
from p2ptk.bench.paths import PLAIN, Case, Ours, Plain, Way, start
from p2ptk.bench.peak import flops_of_update, measured_peak
from p2ptk.bench.pictures import draw_pairs
from p2ptk.bench.profiler import Operation, profile_way
from p2ptk.build import check_size
from p2ptk.components import create
from p2ptk.config import RunConfig
from p2ptk.device import describe_device, lacks_memory, wait_for
from p2ptk.layers import layers_of

WARM_UP = {"cuda": 8}  # steps before the first turn: a GPU records the fourth
USUAL_WARM_UP = 2


@dataclass(frozen=True)
class Effort:
    """How long to measure. memory: of every way, or of the plain loop and the defaults alone."""

    rounds: int = 7
    turn_seconds: float = 2.0
    memory: bool = True


QUICK = Effort(rounds=3, turn_seconds=0.5, memory=False)


@dataclass(frozen=True)
class Asked:
    """What to measure."""

    device: torch.device
    ways: Sequence[Way]
    batch_sizes: Sequence[int]
    sizes: Sequence[int]
    generator: str = "unet"
    discriminator: str = "patchgan"
    effort: Effort = Effort()


def measure(asked: Asked, tell: Callable[[str], object] = lambda text: None) -> dict[str, Any]:
    """Everything that was asked for, as a table of plain values; `cases` holds a list of `rows`.

    tell: what is being done. Raises UserError for networks or sizes that do not fit each other.
    """
    _need_sizes(asked)
    precisions = sorted({way.precision for way in asked.ways})
    tell("measuring what the device can do")
    peaks = {name: measured_peak(asked.device, name) for name in precisions}
    found: dict[str, Any] = {**about(asked.device), "peak_flops": peaks, "cases": []}
    for size in asked.sizes:
        work = flops_of_update(asked.generator, asked.discriminator, size)
        for batch_size in asked.batch_sizes:
            with _case(asked, size, batch_size) as case:
                rows = _rows(asked, case, work * batch_size, peaks, tell)
            found["cases"].append(
                {"size": size, "batch_size": batch_size, "flops": work * batch_size, "rows": rows}
            )
    found["load_average_after"] = _load()
    return found


def _need_sizes(asked: Asked) -> None:
    """Raises UserError for a size that the generator can't divide."""
    with torch.device("meta"):
        generator = create("generator", asked.generator, source_channels=3, target_channels=3)
    for size in asked.sizes:
        settings = {"generator": asked.generator, "size": size}
        check_size(RunConfig.of(*layers_of({}), settings), generator)


def profiled(asked: Asked, trace: Path) -> list[Operation]:
    """A profile of the default way in the last precision, at the first size and batch."""
    way = [way for way in asked.ways if way.default][-1]
    warm_up = WARM_UP.get(asked.device.type, USUAL_WARM_UP)
    with _case(asked, asked.sizes[0], asked.batch_sizes[0]) as case:
        return profile_way(case, way, trace, warm_up)


def about(device: torch.device) -> dict[str, Any]:
    """What a number is worthless without."""
    return {
        "device": describe_device(device),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average": _load(),
        "p2ptk": p2ptk.__version__,
        "torch": torch.__version__,
        "cuda": torch.version.cuda if device.type == "cuda" else None,
        "cudnn": torch.backends.cudnn.version() if device.type == "cuda" else None,
        "python": platform.python_version(),
    }


@contextmanager
def _case(asked: Asked, size: int, batch_size: int) -> Iterator[Case]:
    with tempfile.TemporaryDirectory() as folder:
        draw_pairs(Path(folder), size, count=max(32, 2 * batch_size))
        workers = min(4, os.cpu_count() or 1)
        yield Case(
            folder,
            size,
            batch_size,
            str(asked.device),
            asked.generator,
            asked.discriminator,
            workers,
        )


def _rows(
    asked: Asked, case: Case, work: float, peaks: dict[str, float], tell: Callable[[str], object]
) -> list[dict[str, Any]]:
    device, effort = asked.device, asked.effort
    said = f"{case.size} px, batch {case.batch_size}"
    racers: dict[str, Plain | Ours] = {}
    memory: dict[str, int | None] = {}
    for way in asked.ways:
        tell(f"{said}: {way.name}")
        if device.type == "cpu" and (effort.memory or way.default or way.frugal):
            memory[way.name] = peak_of(case, way)
        racer, taken = _warm(case, way, device)
        if racer is not None:
            racers[way.name] = racer
        if device.type == "cuda":
            memory[way.name] = taken

    turn_seconds = effort.turn_seconds / (4 if device.type == "cuda" else 1)
    shared: dict[str, Racer] = dict(racers)
    turns = race(shared, effort.rounds, turn_seconds, done=lambda: tell(f"{said}: racing"))
    rows = []
    for way in asked.ways:
        row: dict[str, Any] = {
            "way": way.name,
            "precision": way.precision,
            "default": way.default,
            "peak_memory": memory.get(way.name),
        }
        if way.name in turns:
            mine = turns[way.name]
            row |= {
                "ms": 1000 * mine.median,
                "images_per_s": case.batch_size / mine.median,
                "feed_wait_ms": 1000 * statistics.median(mine.waits),
                "peak_share": work / mine.median / peaks[way.precision],
                "turns_ms": [1000 * seconds for seconds in mine.seconds],
                "notes": racers[way.name].notes,
            }
        if way.name in turns and PLAIN in turns:
            row["times_plain"] = times_faster(turns[PLAIN].seconds, turns[way.name].seconds)
        rows.append(row)
    for racer in racers.values():
        racer.close()
    racers.clear()
    _let_go(device)
    return rows


def _warm(case: Case, way: Way, device: torch.device) -> tuple[Plain | Ours | None, int | None]:
    """It after its first steps, and what these took at most of a GPU; None where it does not fit.

    What others hold there already is not counted.
    """
    before = 0
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
    try:
        racer = start(case, way)
        racer.enter()
        for _ in range(WARM_UP.get(device.type, USUAL_WARM_UP)):
            racer.step()
        racer.finish()
    except (MemoryError, RuntimeError) as error:
        if not lacks_memory(error):
            raise
        _let_go(device)
        return None, None
    on_gpu = device.type == "cuda"
    return racer, torch.cuda.max_memory_allocated(device) - before if on_gpu else None


def _let_go(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        wait_for(device)
        torch.cuda.empty_cache()


def _load() -> float | None:
    """How many processes wanted to run in the last minute: more than cores, and times are long."""
    try:
        return round(os.getloadavg()[0], 2)
    except (OSError, AttributeError):  # Windows
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
