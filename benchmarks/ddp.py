"""What training in several processes costs: averaged gradients, and synchronised batch norm.

    python benchmarks/ddp.py [--batch-size 1,16] [--precision bf16]     overhead with one process
    torchrun --nproc-per-node 4 benchmarks/ddp.py ...                   with four, one GPU each

The reference networks, each process on a batch of its own. With one process nothing has to travel,
so that what is left is the cost of doing it at all; on a CPU also that the generator is no longer
updated within its backward pass. The ways take turns of as many steps each, and "x plain" is the
median over rounds of the ratio in a round.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed import HashStore  # type: ignore[attr-defined]

from p2ptk.bench.paths import Case, Ours, Way
from p2ptk.bench.pictures import draw_pairs
from p2ptk.device import choose_device, choose_precision, describe_device
from p2ptk.parallel.gradients import Exchange
from p2ptk.parallel.norms import synchronise
from p2ptk.parallel.ranks import Ranks, joined

WAYS = ("plain", "averaged", "averaged, --sync-norm")


def main() -> None:
    options = read_options()
    with joined(options.device) as ranks:
        device = choose_device(options.device)
        if ranks.alone:
            backend = "nccl" if device.type == "cuda" else "gloo"
            dist.init_process_group(backend, store=HashStore(), rank=0, world_size=1)
        precision = options.precision or choose_precision("auto", device).name
        rows = [
            row
            for batch in (int(b) for b in options.batch_size.split(","))
            for row in measured(options, ranks, device, precision, batch)
        ]
        if ranks.leads:
            show(rows, ranks, device, precision, options.json)
        if ranks.alone:
            dist.destroy_process_group()


def measured(
    options: argparse.Namespace, ranks: Ranks, device: torch.device, precision: str, batch: int
) -> list[dict[str, Any]]:
    """A row a way."""
    with tempfile.TemporaryDirectory() as place:
        draw_pairs(Path(place), options.size, max(8, batch))
        case = Case(place, options.size, batch, str(device), options.generator)
        way = Way("ours", precision, {})
        ours = {name: made(name, Ours(case, way), ranks) for name in WAYS}
        turns: dict[str, list[float]] = {name: [] for name in WAYS}
        for warm in (True, *(False for _ in range(options.rounds))):
            for name, each in ours.items():
                each.enter()
                each.step()
                each.finish()
                began = time.perf_counter()
                for _ in range(options.steps):
                    each.step()
                each.finish()
                if not warm:
                    turns[name].append((time.perf_counter() - began) / options.steps)
        for each in ours.values():
            each.close()
    plain = turns["plain"]
    return [
        {
            "batch": batch * ranks.world,
            "way": name,
            "ms": statistics.median(seconds) * 1e3,
            "images_per_s": batch * ranks.world / statistics.median(seconds),
            "times_plain": statistics.median(a / b for a, b in zip(plain, seconds, strict=True)),
        }
        for name, seconds in turns.items()
    ]


def made(name: str, ours: Ours, ranks: Ranks) -> Ours:
    """Training in one of the ways. Plainly, the processes have nothing to do with each other."""
    networks = ours.trainer.networks
    for updater in (networks.g, networks.d):
        if name != "plain" and updater is not None:
            updater.share(Exchange(updater.parameters.values(), ranks.world))
    for network in (networks.generator, networks.discriminator):
        if name.endswith("--sync-norm") and network is not None:
            synchronise(network, print)
    return ours


def show(
    rows: list[dict[str, Any]], ranks: Ranks, device: torch.device, precision: str, as_json: bool
) -> None:
    about = {
        "processes": ranks.world,
        "device": describe_device(device),
        "precision": precision,
        "torch": torch.__version__,
    }
    if as_json:
        print(json.dumps({**about, "rows": rows}, indent=1))
        return
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    print("\n| batch | way | ms a step | images/s | x plain |\n|---|---|---|---|---|")
    for row in rows:
        speed = f"{row['ms']:.1f} | {row['images_per_s']:.2f} | {row['times_plain']:.3f}"
        print(f"| {row['batch']} | {row['way']} | {speed} |")


def read_options() -> argparse.Namespace:
    kind = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=kind)
    parser.add_argument("--batch-size", default="1", help="of each process: 1,16")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--generator", default="unet")
    parser.add_argument("--precision", choices=("fp32", "bf16", "fp16"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=3, help="of each way in a round")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
