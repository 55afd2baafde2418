"""`p2ptk compare`: the tables of a study, from run folders that are there already."""

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
  p2ptk compare runs/unet runs/resnet
  p2ptk compare runs/unet-* runs/resnet-* --baseline runs/unet-0 -o comparison
  p2ptk compare runs/a runs/b -d facades/ --split test -m lpips -m ssim --json
"""
)
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--baseline", metavar="RUN", type=click.Path(path_type=Path),
              help="A run of the design to compare with; default: the first.")  # fmt: skip
@click.option("-d", "--data", type=ComponentSpec("dataset"),
              help="Pairs to score on; default: those the runs were trained on.")  # fmt: skip
@click.option("--split", default="val", show_default=True, help="Which split of the pairs.")
@click.option("-m", "--metric", "metrics", type=ComponentSpec("metric"), multiple=True,
              help="Metrics, the one that ranks first; default: psnr, ssim, l1.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER",
              help="Write the report there: page, tables, picture sheet.")  # fmt: skip
@click.option("--allow-budget", is_flag=True, help="Compare runs that were trained for longer or "
              "shorter than others.")  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, mps")
@click.option("--plugin", "files", metavar="FILE.py", multiple=True, help="Load a local plugin.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def compare(
    runs: Sequence[Path],
    baseline: Path | None,
    data: str | None,
    split: str,
    metrics: Sequence[str],
    output: Path | None,
    allow_budget: bool,
    device: str,
    files: Sequence[str],
    as_json: bool,
) -> None:
    """Score RUNs alike and set them side by side, paired by seed.

    Runs that differ by their seed alone are one design. Runs of other data, direction, size or
    training length are refused, since their scores could not be compared.
    """
    from rich.console import Console

    from p2ptk.cli.live import progress_bar
    from p2ptk.cli.options import open_data
    from p2ptk.components import create
    from p2ptk.errors import UserError
    from p2ptk.plugins import configure
    from p2ptk.study.formats import table, terminal
    from p2ptk.study.gather import gather, group, read_run, refuse_mixed
    from p2ptk.study.report import write
    from p2ptk.study.tables import tables

    if files:
        configure(files=files)
    # The same folder twice, as from overlapping wildcards, is meant once.
    found = [read_run(path) for path in {path.resolve(): path for path in runs}.values()]
    designs = group(found, baseline)
    if len(designs) < 2:
        raise UserError("these runs are one design: there is nothing to compare it with.")
    refuse_mixed([run for design in designs for run in design.runs], allow_budget)
    trained_on = designs[0].runs[0].config.data
    dataset = open_data(data, False) if data else create("dataset", trained_on)
    with progress_bar("score", quiet=as_json) as tell:
        evidence = gather(designs, dataset, data or str(trained_on), split, metrics,
                          device=device, on_progress=tell)  # fmt: skip
    numbers = tables(evidence)
    written = write(evidence, output) if output else []
    if as_json:
        click.echo(json.dumps(table(numbers), ensure_ascii=False, allow_nan=False))
        return
    Console(highlight=False).print(terminal(numbers, settings=True))
    for path in written:
        click.echo(f"written: {path}")
