"""`p2ptk card`: a model's card."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(
    epilog="""
\b
Examples:
  p2ptk evaluate runs/facades -d facades/ --split val && p2ptk card runs/facades
  p2ptk card generator.safetensors --license cc-by-4.0 -o CARD.md
"""
)
@click.argument("model", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE",
              help="Where to write it; default: README.md beside the model.")  # fmt: skip
@click.option("--license", metavar="ID", help="Of the weights, as hubs name it: cc-by-4.0, mit.")
@click.option("--repo", metavar="OWNER/NAME", help="Where it will be found, for how to use it.")
@click.option("--force", is_flag=True, help="Write over a README.md that is not p2ptk's.")
@click.option("--plugin", "files", metavar="FILE.py", multiple=True, help="Load a local plugin.")
def card(
    model: Path,
    output: Path | None,
    license: str | None,
    repo: str | None,
    force: bool,
    files: tuple[str, ...],
) -> None:
    """Write the card of MODEL (a run folder or one .safetensors), and print where.

    It says what the model takes and gives, what it was trained on, its scores and how to use it,
    with metadata in the form of Hugging Face's model cards.
    """
    from p2ptk.card import write_card
    from p2ptk.plugins import configure

    if files:
        configure(files=files)
    click.echo(write_card(model, output, license=license, repo=repo, force=force))
