"""`p2ptk data split`: train, val and test of one set of pairs."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from p2ptk.cli.options import ComponentSpec


@click.command(
    "split",
    epilog="""
\b
Examples:
  p2ptk data split pairs/ -o divided/
  p2ptk data split pairs/ -o divided/ --val 0.05 --test 0.2 --seed 1
  p2ptk data split frames/ -o divided/ --group '^(cam[0-9]+)_'     one webcam, one split

Pictures of one place, film or building belong in one split, or the scores of val and test are
scores of things learnt by heart: --group says which do, by their names.
""",
)
@click.argument("data", metavar="SRC", type=ComponentSpec("dataset"))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder.")
@click.option("--val", type=click.FloatRange(0, 1), default=0.1, show_default=True,
              help="Share that picks the best weights.")  # fmt: skip
@click.option("--test", type=click.FloatRange(0, 1), default=0.1, show_default=True,
              help="Share that only the final scores see.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Draws them.")
@click.option("--group", metavar="REGEX",
              help="Pairs stay together if this, or its first bracket, is the same.")  # fmt: skip
@click.option("--copy", is_flag=True, help="Copy files; by default they are hard links.")
@click.option("--skip-bad", is_flag=True, help="Leave out pairs that can't be read.")
def data_split(
    data: str,
    output: Path,
    val: float,
    test: float,
    seed: int,
    group: str | None,
    copy: bool,
    skip_bad: bool,
) -> None:
    """Divide the pairs of SRC (a folder or a spec) into train, val and test, in a new folder."""
    from p2ptk.cli.options import data_spec
    from p2ptk.dataprep.split import split_pairs
    from p2ptk.specs import Spec

    spec, said = data_spec(data)
    if said:
        click.echo(said, err=True)
    done = split_pairs(
        spec, output, val=val, test=test, seed=seed, group=group, copy=copy, skip_bad=skip_bad
    )
    for name, count in done.counts.items():
        groups = f" in {done.groups[name]} groups" if group else ""
        click.echo(f"{name:<6} {count} pairs{groups}")
    click.echo(f"the files are {'links' if done.linked else 'copies'} in {output}")
    written = spec.name if spec.name in ("side-by-side", "photos") else "two-folders"
    there = shlex.quote(str(Spec(written, {"path": str(output)})))
    click.echo(f"next: p2ptk data inspect {there} -o look/")
