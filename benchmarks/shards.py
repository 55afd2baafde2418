"""Pairs a second from shards against folders, and the memory of a pass over a million pairs.

    python benchmarks/shards.py speed --pairs facades/ [--count 400] [--rounds 7]
    python benchmarks/shards.py memory [--pairs 1000000] [--workers 2]

Needs the plugin p2ptk-shards. `speed` writes the pairs as tar shards, parquet and a folder of
save_to_disk, and decodes them in this process, in the order of training: all take turns in each
round, so that a busy machine slows all alike; the ratio is the median over rounds. The files lie in
the system's memory after the first round: it is the reading and decoding that is compared, not
disks. The last column is the computing of this process, which other load hardly changes.

`memory` streams pairs of 8x8 pixels from 1000 shards, which are links to one, in batches of 500 as
training gets them, with and without a cache folder. Its columns are MiB of this process, and of its
workers together; a page that both map is counted for each.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
import webdataset
from PIL import Image

from p2ptk import create, open_data
from p2ptk.feed import make_feed
from p2ptk.pairs.order import Order
from p2ptk_shards.write import write_parquet, write_tars


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(required=True)
    speed_of = commands.add_parser("speed")
    speed_of.add_argument("--pairs", required=True)
    speed_of.add_argument("--count", type=int, default=400)
    speed_of.add_argument("--rounds", type=int, default=7)
    speed_of.set_defaults(run=speed)
    memory_of = commands.add_parser("memory")
    memory_of.add_argument("--pairs", type=int, default=1_000_000)
    memory_of.add_argument("--workers", type=int, default=2)
    memory_of.set_defaults(run=memory)
    given = vars(parser.parse_args())
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        given.pop("run")(Path(place), **given)


def speed(place: Path, pairs: str, count: int, rounds: int) -> None:
    folder = open_data(pairs)
    out, parquet, saved = (place / name for name in ("tars", "parquet", "saved"))
    sides = write_tars(folder, str(out), 100, lambda n: None)
    write_parquet(folder, str(parquet), 100, 100, lambda n: None)
    rows = datasets.load_dataset(
        "parquet", data_files=str(parquet / "train-*"), cache_dir=str(place / "hf"), split="train"
    )
    rows.save_to_disk(str(saved))
    both = {"both": "pair"} if "pair" in sides else {}
    splits = {
        "folder": folder.split("train"),
        "tar shards": opened("webdataset", out, **both),
        "tar shards, pixels kept": opened("webdataset", out, cache=str(place / "a"), **both),
        "parquet": opened("hf", parquet, **both),
        "parquet, pixels kept": opened("hf", parquet, cache=str(place / "b"), **both),
        "save_to_disk": opened("hf", saved, **both),
    }
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in splits}
    for number in range(rounds + 1):
        for name, split in splits.items():
            order = Order.of(number, split)
            began, computing = time.perf_counter(), time.process_time()
            for i in range(count):
                split[order(i)]
            if number:  # the first fills caches
                ended = time.perf_counter() - began, time.process_time() - computing
                taken[name].append((ended[0] / count, ended[1] / count))
    print("| from | pairs/s | against the folder | computing, ms a pair |\n|---|---|---|---|")
    for name, rows in taken.items():
        ratio = statistics.median(f[0] / s[0] for f, s in zip(taken["folder"], rows, strict=True))
        wall, cpu = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"| {name} | {1 / wall:.0f} | {ratio:.2f} | {1000 * cpu:.2f} |")


def opened(name: str, path: Path, **params: Any) -> Any:
    return create("dataset", {"name": name, "path": str(path), **params}).split("train")


def memory(place: Path, pairs: int, workers: int) -> None:
    os.environ["P2PTK_CACHE"] = str(place / "indices")
    shards = place / "shards"
    shards.mkdir()
    each = pairs // 1000
    with webdataset.TarWriter((shards / "train-000000.tar").open("wb"), encoder=False) as tar:
        for i in range(each):
            tar.write({"__key__": f"{i:06d}", "source.png": tiny(i), "target.png": tiny(-i - 1)})
    for i in range(1, 1000):
        os.link(shards / "train-000000.tar", shards / f"train-{i:06d}.tar")
    for i in range(2):
        began = time.perf_counter()
        create("dataset", {"name": "webdataset", "path": str(shards)})
        print(f"opening {each * 1000:,} pairs{' again' * i}: {time.perf_counter() - began:.1f} s")
    for params in ({}, {"cache": str(place / "kept")}):
        # The same decoded pixels are kept a thousand times: each link is a shard of its own.
        made = create("dataset", {"name": "webdataset", "path": str(shards), **params})
        passed(made, workers, "pixels kept" if params else "no cache folder")


def passed(made: Any, workers: int, title: str) -> None:
    """An epoch through the streamed feed, and what its processes take on the way."""
    split = made.split("train")
    feed = make_feed(
        split,
        made.a,
        made.b,
        direction="AtoB",
        size=(8, 8),
        batch_size=500,
        seed=0,
        device=torch.device("cpu"),
        workers=workers,
        kind="streamed",
    )
    steps = len(split) // 500
    print(f"\n{title}: MiB of this process and of its {workers} workers")
    print(
        "| pairs | its own | files it maps | theirs | files they map | pairs/s |\n"
        + "|---" * 6
        + "|"
    )
    began, seen = time.perf_counter(), 0
    for step in range(steps):
        seen += len(feed.batch(step).numbers)
        if (step + 1) % (steps // 10) == 0 or step == 20:
            mine, theirs = resident(os.getpid()), [resident(pid) for pid in children()]
            rate = seen / (time.perf_counter() - began)
            row = [sum(one[kind] for one in some) for some in ([mine], theirs) for kind in mine]
            shown = " | ".join(f"{value / 1024:.0f}" for value in row)
            print(f"| {seen:,} | {shown} | {rate:.0f} |", flush=True)
    feed.close()


def resident(pid: int) -> Mapping[str, int]:
    """Linux's counts of a process's memory, in KiB."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        lines = []
    told = {line.partition(":")[0]: line.split()[1] for line in lines if line.startswith("Rss")}
    return {name: int(told.get(name, 0)) for name in ("RssAnon", "RssFile")}


def children() -> list[int]:
    found = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text()
    return [int(pid) for pid in found.split()]


def tiny(seed: int) -> bytes:
    pixels = np.random.default_rng(abs(seed)).integers(0, 255, (8, 8, 3)).astype("uint8")
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


if __name__ == "__main__":
    main()
