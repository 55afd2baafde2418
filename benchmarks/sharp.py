"""Is the recipe `sharp` better than `pix2pix` at equal images seen? One command, one table.

    python benchmarks/sharp.py --facades facades/ --maps maps/ -o runs/sharp-against-pix2pix

Facades BtoA, maps AtoB and BtoA, three seeds each, both recipes with the same batch size, pairs,
crops and number of images. Runs that are done are not repeated, and one that was stopped goes on.
The table gives the mean over seeds and the paired difference, metric by metric, on `val`.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from p2ptk import RunConfig, Translator, create
from p2ptk.evaluate import evaluate
from p2ptk.layers import layers_of, parse_setting
from p2ptk.observe import Lines
from p2ptk.run import resume, start
from p2ptk.runfolder import RunFolder

METRICS = ("psnr", "ssim", "l1")


def main() -> None:
    options = read_options()
    tasks = [
        (name, folder, direction)
        for name, folder, directions in (
            ("facades", options.facades, ("BtoA",)),
            ("maps", options.maps, ("AtoB", "BtoA")),
        )
        if folder
        for direction in directions
    ]
    rows = []
    for name, folder, direction in tasks:
        scores = {
            recipe: [score(options, recipe, folder, direction, seed) for seed in options.seeds]
            for recipe in ("pix2pix", "sharp")
        }
        rows += table_rows(f"{name} {direction}", scores)
    print_table(rows)
    (options.output / "results.json").write_text(json.dumps(rows, indent=1))


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--facades", type=Path, help="side-by-side pairs with train and val")
    parser.add_argument("--maps", type=Path, help="side-by-side pairs with train and val")
    parser.add_argument("--images", type=int, default=80_000, help="images seen by each run")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/sharp-against-pix2pix"))
    options = parser.parse_args()
    if not (options.facades or options.maps):
        parser.error("give --facades, --maps or both")
    options.output.mkdir(parents=True, exist_ok=True)
    return options


def score(
    options: argparse.Namespace, recipe: str, folder: Path, direction: str, seed: int
) -> dict[str, float]:
    """Train (or finish, or find) one run and score it on the validation pairs."""
    data = f"side-by-side:path={folder}"
    run = RunFolder(options.output / f"{folder.name}-{direction}-{recipe}-{seed}")
    config = RunConfig.of(
        *layers_of({}, recipe),
        {
            "data": data,
            "direction": direction,
            "size": options.size,
            "seed": seed,
            "device": options.device,
            "train": {
                "batch_size": options.batch_size,
                "steps": options.images // options.batch_size,
            },
        },
        *(parse_setting(setting) for setting in options.settings),
    )
    if run.holds_run:
        resume(run, Lines())
    else:
        start(config, run, Lines())
    dataset = create("dataset", data)
    translator = Translator.load(run.path, options.device)
    return evaluate(translator, dataset, dataset.split("val"), METRICS)


def table_rows(task: str, scores: dict[str, list[dict[str, float]]]) -> list[dict[str, Any]]:
    """A row a metric: both means, and the difference of the same seeds."""
    rows = []
    for metric in METRICS:
        before, after = ([s[metric] for s in scores[r]] for r in ("pix2pix", "sharp"))
        gains = [b - a for a, b in zip(before, after, strict=True)]
        rows.append(
            {
                "task": task,
                "metric": metric,
                "pix2pix": statistics.mean(before),
                "sharp": statistics.mean(after),
                "difference": statistics.mean(gains),
                "by_seed": gains,
            }
        )
    return rows


def print_table(rows: list[dict[str, Any]]) -> None:
    print("| task | metric | pix2pix | sharp | difference | by seed |\n|---|---|---|---|---|---|")
    for row in rows:
        seeds = " ".join(f"{gain:+.4f}" for gain in row["by_seed"])
        print(
            f"| {row['task']} | {row['metric']} | {row['pix2pix']:.4f} | {row['sharp']:.4f} "
            f"| {row['difference']:+.4f} | {seeds} |"
        )


if __name__ == "__main__":
    main()
