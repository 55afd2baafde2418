"""A command: `p2ptk aurora`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("aurora")
@click.argument("model", type=click.Path(path_type=Path))
def main(model: Path) -> None:
    """Count the weights of MODEL, a run folder or a model file."""
    from p2ptk import load_generator  # not above: `p2ptk --help` need not wait for torch

    total = 0
    for name, weights in load_generator(model).named_parameters():
        click.echo(f"{weights.numel():>12,}  {name}")
        total += weights.numel()
    click.echo(f"{total:>12,}  in all")
