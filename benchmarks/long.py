"""Does a long run, or a large set or study, grow without end? One command, one table.

    python -m benchmarks.long [--steps 100000] [--pairs 1000000] [--runs 1000] [--json]

Three measurements, each in a process of its own. A run of a toy network: how fast resident memory
grows after its first tenth, by least squares, and bytes of log a step. A list of pairs that was
generated, of one tiny picture under many names: seconds and memory until the first batch, streamed.
A study whose runs have all ended, written without training: seconds of `status` and `report`.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("P2PTK_PLUGINS", "")

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", choices=MEASURED, help=argparse.SUPPRESS)
    options = parser.parse_args()
    sizes = {"steps": options.steps, "pairs": options.pairs, "runs": options.runs}
    if options.only:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["P2PTK_CACHE"] = str(Path(folder, "cache"))
            print(json.dumps(MEASURED[options.only](Path(folder), sizes[options.only])))
        return
    found: dict[str, Any] = {}
    for name, size in sizes.items():
        if size:
            command = [sys.executable, "-m", "benchmarks.long", "--only", name, f"--{name}={size}"]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[name] = json.loads(done.stdout.splitlines()[-1])
    if options.json:
        print(json.dumps(found))
        return
    for values in found.values():
        print("; ".join(f"{what}: {value}" for what, value in values.items()))


def long_run(folder: Path, steps: int) -> dict[str, Any]:
    """A toy network for many steps: memory's slope and the log's size."""
    from benchmarks.faults.killing import small_config, write_pairs
    from p2ptk.observe import Observer
    from p2ptk.run import start
    from p2ptk.runfolder import RunFolder

    seen: list[tuple[int, int]] = []

    class Weigh(Observer):
        def stepped(self, step: int) -> None:
            if step % max(1, steps // 500) == 0:
                seen.append((step, resident()))

    toy = {
        "generator": "unet:depth=2,width=2",
        "discriminator": "patchgan:layers=0,width=2",
        "size": 8,
        "train": {"batch_size": 1, "steps": steps, "ema": 0.0},
        "output": {"checkpoint_every": 0, "sample_every": max(1, steps // 20), "log_every": 0},
    }
    run = RunFolder(folder / "run")
    began = time.monotonic()
    start(small_config(write_pairs(folder / "pairs"), toy), run, Weigh())
    late = np.array([pair for pair in seen if pair[0] > steps / 10], float)
    slope = float(np.polyfit(late[:, 0], late[:, 1], 1)[0])
    return {
        "steps": steps,
        "seconds": round(time.monotonic() - began, 1),
        "resident memory, MiB, after a tenth": round(late[0, 1] / 2**20, 1),
        "at the end": round(late[-1, 1] / 2**20, 1),
        "slope, bytes a step": round(slope, 1),
        "log lines": len(run.read_log()),
        "log bytes": run.log_length(),
    }


def large_set(folder: Path, pairs: int) -> dict[str, Any]:
    """Many pairs by a list: what it costs until the first batch is there."""
    import torch
    from PIL import Image

    from p2ptk.components import create
    from p2ptk.feed import make_feed

    for side in "ab":
        Image.new("RGB", (8, 8)).save(folder / f"{side}.png")
    with (folder / "pairs.csv").open("w") as file:
        file.write("source,target,split,name\n")
        splits = ("val", *["train"] * 99)
        file.writelines(f"a.png,b.png,{splits[i % 100]},{i}\n" for i in range(pairs))
    before, began = resident(), time.monotonic()
    dataset = create("dataset", f"list:path='{folder / 'pairs.csv'}'")
    train = dataset.split("train")
    opened, then = time.monotonic() - began, time.monotonic()
    feed = make_feed(
        train, dataset.a, dataset.b, direction="AtoB", size=(8, 8), batch_size=4, seed=0,
        device=torch.device("cpu"), workers=0, kind="streamed",
    )  # fmt: skip
    feed.batch(0)
    first, then = time.monotonic() - then, time.monotonic()
    for step in range(1, 101):
        feed.batch(step)
    return {
        "pairs": pairs,
        "seconds to open": round(opened, 2),
        "to the first batch": round(first, 2),
        "a batch of 4 after that": round((time.monotonic() - then) / 100, 4),
        "memory, bytes a pair": round((resident() - before) / pairs),
    }


def large_study(folder: Path, runs: int) -> dict[str, Any]:
    """A study with results for all of its runs: how long it takes to look at it."""
    from benchmarks.faults.killing import write_pairs
    from p2ptk.study.job import write_result
    from p2ptk.study.plan import make_plan
    from p2ptk.study.records import Cost, Result

    write_pairs(folder / "pairs")
    variants = max(2, runs // 5)
    values = ", ".join(f"{i + 1}.0" for i in range(variants))
    (folder / "many.toml").write_text(
        'seeds = 5\nbudget = "4 steps"\n[base]\nsize = 32\n'
        f"data = {json.dumps(str(folder / 'pairs'))}\n"
        'generator = "unet:depth=3,width=4"\ndiscriminator = "patchgan:layers=1,width=4"\n'
        f'[factors]\n"losses.l1.weight" = [{values}]\n'
        '[evaluate]\nmetrics = ["ssim", "l1"]\nprimary = "ssim"\nsplit = "val"\n'
    )
    began = time.monotonic()
    plan = make_plan(folder / "many.toml", folder / "study", check=False)
    plan.write()
    planned, numbers = time.monotonic() - began, np.random.default_rng(0)
    evaluate = plan.tasks[0].table["evaluate"]
    for job in plan.jobs:
        scores = {f"{i:02d}": float(x) for i, x in enumerate(numbers.random(3))}
        mean = sum(scores.values()) / 3
        write_result(
            job.folder,
            Result(
                key=job.key,
                variant=job.variant,
                seed=job.seed,
                status="done",
                metrics={"ssim": mean, "l1": 1 - mean},
                per_image={"ssim": scores, "l1": {k: 1 - v for k, v in scores.items()}},
                higher_is_better={"ssim": True, "l1": False},
                protocols={"ssim": "mean over images", "l1": "mean over images"},
                cost=Cost(1000, 10_000, 40.0, 2**20, 1.0, "a machine"),
            ),
            evaluate,
        )
    p2ptk = [sys.executable, "-m", "p2ptk", "study"]
    took = {}
    for command in ("status", "report"):
        began = time.monotonic()
        subprocess.run([*p2ptk, command, str(folder / "study")], check=True, capture_output=True)
        took[f"seconds of study {command}"] = round(time.monotonic() - began, 1)
    return {"runs": len(plan.jobs), "seconds to plan": round(planned, 1), **took}


def resident() -> int:
    """Bytes of memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


MEASURED = {"steps": long_run, "pairs": large_set, "runs": large_study}


if __name__ == "__main__":
    main()
