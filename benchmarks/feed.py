"""Pairs a second of the feeds alone, against the usual loader of PIL images.

    python benchmarks/feed.py --pairs facades/ [--size 256] [--batch-size 1 16] [--device cpu]

The usual loader: a torch DataLoader whose workers open a pair with PIL, cut it in halves, resize
both (bicubic), crop and mirror them, and make tensors in [-1, 1]; then a copy to the device. The
feeds take turns with it, so that a busy machine slows all alike. `resident` holds the resized
pairs, `resident, as decoded` resizes each batch, `streamed` decodes in worker processes, and
`streamed, cached` takes decoded pairs from the cache. Before the table stands what it took to get
ready: to decode all pairs, with and without the cache. The last column is the computing of this
process for a pair: with `--workers 0` all of it, and then a measure that other load hardly changes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import functional as F

from p2ptk import create
from p2ptk.feed import Feed, make_feed
from p2ptk.pairs import cache as cache_module
from p2ptk.pairs.augment import Keyed
from p2ptk.pairs.cache import Cache
from p2ptk.pairs.packed import pack

LOAD = 286 / 256


class PilPairs(Dataset[Any]):
    """The usual way: everything in Python, an image at a time, on the CPU."""

    def __init__(self, folder: Path, size: int) -> None:
        self.files, self.size = sorted(folder.glob("*.jpg")), size

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image = Image.open(self.files[index]).convert("RGB")
        half, load = image.width // 2, round(self.size * LOAD)
        left, top = (random.randint(0, load - self.size) for _ in range(2))
        mirrored = random.random() < 0.5
        sides = []
        for begin in (0, half):
            side = image.crop((begin, 0, begin + half, image.height))
            side = side.resize((load, load), Image.Resampling.BICUBIC)
            side = side.crop((left, top, left + self.size, top + self.size))
            if mirrored:
                side = side.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            sides.append(F.normalize(F.to_tensor(side), [0.5] * 3, [0.5] * 3))
        return sides[0], sides[1]


def main() -> None:
    options = read_options()
    device = torch.device(options.device)
    dataset = create("dataset", f"side-by-side:path='{options.pairs.absolute()}'")
    split = dataset.split("train")
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as place:
        os.environ["P2PTK_CACHE"] = place
        cache_module.WORTH = 0.0  # keep even what decodes in no time
        cache = Cache({}, "benchmark")
        for batch_size in options.batch_size:
            common: dict[str, Any] = {
                "direction": "BtoA",
                "size": (options.size, options.size),
                "batch_size": batch_size,
                "seed": 0,
                "device": device,
                "augmentations": [Keyed("jitter", create("augmentation", "jitter"), "data")],
                "workers": options.workers,
            }

            def feed(**own: Any) -> Feed:
                return make_feed(split, dataset.a, dataset.b, **(common | own))  # noqa: B023

            if not rows and not options.json:
                for name, seconds in readying(split, cache, options.workers).items():
                    print(f"{len(split)} pairs {name}: {seconds:.2f} s")
            loader = usual(
                options.pairs / "train", options.size, batch_size, options.workers, device
            )
            ways: dict[str, Callable[[], object]] = {
                "usual PIL loader": partial(next, loader),
                "resident": stepping(feed(kind="resident")),
                "resident, as decoded": stepping(feed(kind="resident", share=0.0)),
                "streamed": stepping(feed(kind="streamed")),
                "streamed, cached": stepping(feed(kind="streamed", cache=cache)),
            }
            speeds = race(ways, batch_size, options.seconds, options.repeats, device)
            base = speeds["usual PIL loader"][0]
            rows += [
                {
                    "batch": batch_size,
                    "feed": name,
                    "pairs_per_s": speed,
                    "ratio": speed / base,
                    "computing_ms": computing,
                }
                for name, (speed, computing) in speeds.items()
            ]
    if options.json:
        print(json.dumps({"device": str(device), "size": options.size, "rows": rows}, indent=1))
        return
    print(f"{options.size} px, {device}, {options.workers} workers, load {os.getloadavg()[0]:.1f}")
    for row in rows:
        line = f"{row['pairs_per_s']:9.0f} pairs/s {row['ratio']:8.1f} x"
        line += f"{row['computing_ms']:10.2f} ms a pair"
        print(f"batch {row['batch']:3}  {row['feed']:22}{line}")


def readying(split: Any, cache: Cache, workers: int) -> dict[str, float]:
    """Seconds until all pairs are decoded."""
    ways: dict[str, Callable[[], object]] = {
        "decoded into memory": lambda: pack(split, workers=workers),
        "decoded into the cache": lambda: cache.open(split, workers),
        "taken from the cache": lambda: cache.open(split, workers),
    }
    seconds = {}
    for name, way in ways.items():
        began = time.perf_counter()
        way()
        seconds[name] = time.perf_counter() - began
    return seconds


def usual(
    folder: Path, size: int, batch_size: int, workers: int, device: torch.device
) -> Iterator[Any]:
    """Batches of the usual loader on the device, without end."""
    loader = DataLoader(
        PilPairs(folder, size),
        batch_size,
        shuffle=True,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        persistent_workers=workers > 0,
        drop_last=True,
    )
    while True:
        for source, target in loader:
            yield source.to(device, non_blocking=True), target.to(device, non_blocking=True)


def stepping(feed: Feed) -> Callable[[], object]:
    steps = iter(range(10**9))
    return lambda: feed.batch(next(steps))


def race(
    ways: dict[str, Callable[[], object]],
    batch_size: int,
    seconds: float,
    repeats: int,
    device: torch.device,
) -> dict[str, tuple[float, float]]:
    """Medians of each way, which take turns of about so many seconds: pairs a second, and
    milliseconds of computing in this process for a pair."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for turn in range(repeats + 1):
        for name, batch in ways.items():
            count, began, computed = 0, time.perf_counter(), time.process_time()
            while time.perf_counter() - began < seconds:
                batch()
                count += batch_size
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if turn:  # the first starts workers and warms up
                computing = (time.process_time() - computed) / count * 1000
                found[name].append((count / (time.perf_counter() - began), computing))
    return {
        name: (statistics.median(s for s, _ in each), statistics.median(c for _, c in each))
        for name, each in found.items()
    }


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=Path, required=True, help="folder with train/*.jpg")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch-size", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--workers", type=int, default=min(8, os.cpu_count() or 1))
    parser.add_argument("--seconds", type=float, default=2.0, help="of a turn")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
