"""Pictures a second of `translate`, against the usual test script. One command, one table.

    python benchmarks/translate.py [--size 256] [--big 2048] [--device cpu] [--seconds 3]

The usual test script takes one picture at a time: PIL, a float32 tensor, the network in its own
memory format, back to PIL. p2ptk's ways are one `Translator` each. All take turns, so that a busy
machine slows all alike; the ratio is the median over rounds. Pictures are in memory before and
after, so that neither reads nor writes files. The networks are the reference U-Net with random
weights and running statistics.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from p2ptk import Translator, fit, load_generator
from p2ptk.bench.measure import race, times_faster
from p2ptk.device import choose_device, choose_precision, describe_device, keep_memory, wait_for


class Way:
    """Something that translates `count` pictures in a step."""

    waited = 0.0

    def __init__(self, run: Callable[[], object], count: int, device: torch.device) -> None:
        self.run, self.count, self.device = run, count, device

    def enter(self) -> None:
        if self.device.type == "cpu":
            keep_memory()

    def step(self) -> object:
        return self.run()

    def finish(self) -> None:
        wait_for(self.device)


def main() -> None:
    options = read_options()
    device = choose_device(options.device)
    good = choose_precision("auto", device).name
    precisions = list(dict.fromkeys(("fp32", good)))
    with tempfile.TemporaryDirectory() as place:
        model = make_model(Path(place), device)
        ways: dict[str, Way] = {}
        image = picture(options.size)
        net = load_generator(model, device, norm="running")
        ways["usual script, fp32"] = Way(lambda: usual(net, image, device), 1, device)
        for precision in precisions:
            for count in options.batch_size:
                translator = loaded(model, options.device, precision, batch_size=count)
                several = [picture(options.size) for _ in range(count)]
                ways[f"{precision}, batch {count}"] = Way(
                    lambda t=translator, p=several: t(p),  # type: ignore[misc]
                    count,
                    device,
                )
        shown = {f"{options.size} px": table(ways, options)}
        if options.big:
            large = picture(options.big)
            ways = {"usual script, fp32": Way(lambda: usual(net, large, device), 1, device)}
            for precision in precisions:
                for tile in (256, 512, 1024):
                    translator = loaded(model, options.device, precision, tile=tile)
                    ways[f"{precision}, tiles of {tile}"] = Way(
                        lambda t=translator: t(large),  # type: ignore[misc]
                        1,
                        device,
                    )
            shown[f"{options.big} px"] = table(ways, options)
    if options.json:
        print(json.dumps({"device": describe_device(device), "tables": shown}, indent=1))
        return
    print(f"{describe_device(device)}, torch {torch.__version__}, load {os.getloadavg()[0]:.1f}")
    for title, rows in shown.items():
        print(f"\n{title:24}{'pictures/s':>12}{'ms each':>10}{'x usual':>9}")
        for row in rows:
            print(f"{row['way']:24}{row['rate']:12.2f}{row['ms']:10.1f}{row['ratio']:9.2f}")


def make_model(place: Path, device: torch.device) -> Path:
    """The reference U-Net after one step on embedded pairs."""
    run = fit(
        data="demo",
        output=place / "run",
        device=str(device),
        quiet=True,
        train__steps=1,
        size=256,
        cache=False,
        output__sample_every=10**9,
    )
    return Path(run.folder) / "generator.safetensors"


def loaded(model: Path, device: str, precision: Any, **more: Any) -> Translator:
    return Translator.load(model, device, precision, norm="running", **more)


def picture(size: int) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    return Image.fromarray(values)


@torch.no_grad()
def usual(net: torch.nn.Module, image: Image.Image, device: torch.device) -> Image.Image:
    x_HWC = torch.from_numpy(np.array(image)).float() / 127.5 - 1
    y_CHW = net(x_HWC.permute(2, 0, 1)[None].contiguous().to(device))[0].cpu()
    values = ((y_CHW.permute(1, 2, 0) + 1) * 127.5).clamp(0, 255)
    return Image.fromarray(values.numpy().astype(np.uint8))


def table(ways: dict[str, Way], options: argparse.Namespace) -> list[dict[str, Any]]:
    for way in ways.values():
        way.step()
        way.finish()
    turns = race(dict(ways), options.rounds, options.seconds)
    base = turns["usual script, fp32"].seconds
    rows = []
    for name, way in ways.items():
        each = [seconds / way.count for seconds in turns[name].seconds]
        middle = turns[name].median / way.count
        ratio = times_faster(base, each)
        rows.append({"way": name, "rate": 1 / middle, "ms": 1000 * middle, "ratio": ratio})
    return rows


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--big", type=int, default=2048, help="0 leaves tiles out")
    parser.add_argument("--batch-size", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seconds", type=float, default=2.0, help="of a turn")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
