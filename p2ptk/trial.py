"""`--dry-run`: build everything, take one step, tell what a run would cost; write nothing."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from typing import Any

import torch

from p2ptk.build import build_parts, resolve_config
from p2ptk.config import RunConfig
from p2ptk.data import build_data
from p2ptk.device import choose_device, peak_memory, prepare
from p2ptk.interrupts import clock
from p2ptk.manifest import first_lines, make_header
from p2ptk.observe import Observer
from p2ptk.probe import settle_batch_size
from p2ptk.run import memory_explained
from p2ptk.runfolder import RunFolder
from p2ptk.train import Trainer


def dry_run(config: RunConfig, steps: int = 4) -> dict[str, Any]:
    """What `start` would do with this config, measured on a few steps.

    Gives `parts` (lines), `peak_memory` in bytes, `seconds_a_step`, `steps`, `seconds`.
    Raises UserError as a run would.
    """
    config = resolve_config(config)
    device = choose_device(config.device)
    prepare(device, config.deterministic)
    data, tried = replace(build_data(config), cache=None), list[str]()
    config = settle_batch_size(config, data, tried.append)
    parts = build_parts(config, data)
    header = make_header(config, data, parts, None)
    with tempfile.TemporaryDirectory() as place, memory_explained(config, device):
        trainer = Trainer(config, data, parts, RunFolder(place), header, Observer())
        try:
            times = []
            for _ in range(steps):
                began = time.perf_counter()
                trainer.update()
                if device.type == "cuda":
                    torch.cuda.synchronize(device)
                times.append(time.perf_counter() - began)
                trainer.step += 1
        finally:
            trainer.feed.close()
    a_step = sorted(times[1:])[len(times[1:]) // 2]  # the first step sets things up
    return {
        "parts": [*first_lines(config, data, parts, device), *tried],
        "peak_memory": peak_memory(device),
        "seconds_a_step": a_step,
        "steps": trainer.total,
        "seconds": a_step * trainer.total,
    }


def in_words(found: dict[str, Any]) -> list[str]:
    """The result of a dry run as lines."""
    return [
        *found["parts"],
        f"memory: {found['peak_memory'] / 2**30:.1f} GiB at the most",
        f"time: {found['steps']} steps of {found['seconds_a_step'] * 1000:.0f} ms, "
        f"about {clock(found['seconds'])}",
        "dry run: nothing was written",
    ]
