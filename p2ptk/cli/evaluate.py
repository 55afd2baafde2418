"""`p2ptk evaluate`: score a model over a split of pairs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from p2ptk.cli.options import ComponentSpec


@click.command(
    epilog="""
\b
Examples:
  p2ptk evaluate runs/facades -d facades/ --split val
  p2ptk evaluate runs/facades -d facades/ --split test -m ssim -m psnr --json
"""
)
@click.argument("model", type=click.Path(path_type=Path))
@click.option("-d", "--data", required=True, type=ComponentSpec("dataset"), help="Pairs.")
@click.option("--split", default="val", show_default=True, help="Which split of the pairs.")
@click.option("-m", "--metric", "metrics", type=ComponentSpec("metric"), multiple=True,
              help="Metrics; default: psnr, ssim, l1.")  # fmt: skip
@click.option("--batch-size", type=click.IntRange(min=1), default=4, show_default=True,
              help="Pictures that run together.")  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, mps")
@click.option("--skip-bad", is_flag=True, help="Leave out pairs that can't be read.")
@click.option("--plugin", "files", metavar="FILE.py", multiple=True, help="Load a local plugin.")
@click.option("--json", "as_json", is_flag=True, help="Print the values as JSON.")
def evaluate(
    model: Path,
    data: str,
    split: str,
    metrics: Sequence[str],
    batch_size: int,
    device: str,
    skip_bad: bool,
    files: Sequence[str],
    as_json: bool,
) -> int:
    """Score MODEL (a run folder or one .safetensors) on the pairs of a split.

    Pairs are resized to the size that the model was trained at, and translated by its own rule.
    """
    from p2ptk.cli.live import progress_bar
    from p2ptk.cli.options import open_data
    from p2ptk.data import need_split
    from p2ptk.evaluate import evaluate as score
    from p2ptk.plugins import configure
    from p2ptk.translate import Translator

    if files:
        configure(files=files)
    translator = Translator.load(model, device)
    dataset = open_data(data, skip_bad)
    pairs = need_split(dataset, split)
    names = list(metrics) or ["psnr", "ssim", "l1"]
    with progress_bar("evaluate", quiet=as_json) as tell:
        values = score(translator, dataset, pairs, names, batch_size=batch_size, on_progress=tell)
    if as_json:
        click.echo(json.dumps({"split": split, "pairs": len(pairs), "metrics": values}))
        return 0
    for name, value in values.items():
        click.echo(f"{name:<16} {value:.4f}")
    click.echo(f"over the {len(pairs)} pairs of {split}, at {_shown(translator.header.size)}")
    return 0


def _shown(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]} pixels"
