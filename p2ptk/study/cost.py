"""What a run took, from its folder: size and work of the generator, speed, time, hardware."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from p2ptk.config import RunConfig
from p2ptk.inference import with_noise
from p2ptk.runfolder import RunFolder
from p2ptk.study.records import Cost
from p2ptk.weights import load_generator, read_header


def cost_of(
    path: Path, config: RunConfig, *, model: Path | None = None, peak_memory: int | None = None
) -> Cost:
    """What a run took, as far as its folder tells.

    model: the weights that are judged, else the run's newest. peak_memory: of training, in bytes,
    which only the process that trained knows.
    Raises UserError for weights that can't be read.
    """
    folder = RunFolder(path)
    weights = model or folder.generator
    header = read_header(weights)
    generator = load_generator(weights)
    rows = folder.read_log()
    train = config.train
    return Cost(
        parameters=count_parameters(generator),
        macs=count_macs(generator, (1, header.source_channels, *header.size)),
        images_per_s=training_speed(rows, train.batch_size * train.d_steps),
        peak_memory=peak_memory or None,
        seconds=float(rows[-1]["seconds"]) if rows and "seconds" in rows[-1] else None,
        hardware=_hardware(path),
    )


def count_parameters(network: nn.Module) -> int:
    """Weights and biases, frozen ones as well; one that is used in two places counts once."""
    return sum(parameter.numel() for parameter in network.parameters())


@torch.no_grad()
def count_macs(generator: nn.Module, shape: tuple[int, int, int, int]) -> int | None:
    """Multiply-accumulates of one translation of N C H W: half of what torch's counter counts.

    Counted are convolutions, matrix products and attention, as papers do; norms, activations and
    resizing are not. None where the network can't be counted.
    """
    place = next(generator.parameters(), torch.empty(0))
    source = torch.zeros(shape, device=place.device, dtype=torch.float32)
    try:
        with FlopCounterMode(display=False) as counter:
            with_noise(generator, 0)(source)
    except (RuntimeError, NotImplementedError, TypeError):  # operators that torch can't dispatch so
        return None
    return int(counter.get_total_flops()) // 2


def training_speed(rows: Sequence[Mapping[str, Any]], images_a_step: int) -> float | None:
    """Images/s from the lines of metrics.jsonl: the median over its windows but the first.

    The first window holds what happens once (decoding, autotuning, compiling); the median leaves
    out windows in which samples were drawn or validation ran. None with fewer than two lines.
    """
    logged = [(row["step"], row["seconds"]) for row in rows if "step" in row and "seconds" in row]
    rates = [
        (step - before) * images_a_step / (seconds - earlier)
        for (before, earlier), (step, seconds) in pairwise(logged)
        if seconds > earlier
    ]
    if rates:
        return round(statistics.median(rates), 3)
    speeds = [row["images_per_s"] for row in rows if row.get("images_per_s")]
    return float(speeds[-1]) if speeds else None


def _hardware(path: Path) -> str:
    try:
        return str(json.loads((path / "environment.json").read_text("utf-8"))["device"])
    except (OSError, ValueError, KeyError):
        return ""
