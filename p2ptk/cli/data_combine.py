"""`p2ptk data combine`: side-by-side images of two folders."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click


@click.command(
    "combine",
    epilog="""
\b
Examples:
  p2ptk data combine photos/ labels/ -o pairs/
  p2ptk data combine A/ B/ -o pairs/ --format tif

Images are paired by their names, whatever their endings; folders train, val and test, and folders
within them, are kept. Nothing is lost: 16 bits stay 16 bits. p2ptk also trains on two folders as
they are (`p2ptk run -d two-folders:path=.,a=photos,b=labels`), so this is for sharing and looking.
""",
)
@click.argument("a", metavar="A/", type=click.Path(path_type=Path))
@click.argument("b", metavar="B/", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder.")
@click.option("--format", "format_", type=click.Choice(["png", "tif"]), default="png",
              show_default=True, help="TIFF holds floats and any number of channels.")  # fmt: skip
@click.option("--force", is_flag=True,
              help="Write into a folder that holds something, over equal names.")  # fmt: skip
def data_combine(a: Path, b: Path, output: Path, format_: Any, force: bool) -> None:
    """Write A (left) and B (right) side by side into one image a pair, without loss."""
    from p2ptk.cli.data import counted
    from p2ptk.cli.live import progress_bar
    from p2ptk.dataprep.combine import combine
    from p2ptk.specs import Spec

    with progress_bar("combine", quiet=False) as tell:
        done = combine(a, b, output, format=format_, force=force, progress=counted(tell))
    for split, count in done.counts.items():
        click.echo(f"{count} pairs written to {output / split}")
    if done.grey:
        click.echo(f"in {done.grey} of them the grey side got three equal channels")
    spec = shlex.quote(str(Spec("side-by-side", {"path": str(output)})))
    click.echo(f"next: p2ptk data inspect {spec} -o look/")
