"""`p2ptk push` and `p2ptk pull`: models to and from a hub."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(
    epilog="""
\b
Examples:
  p2ptk push runs/facades me/facades --license cc-by-4.0
  p2ptk push best.safetensors me/facades --private

Log in first with `hf auth login`, or set HF_TOKEN. HF_ENDPOINT names another hub.
"""
)
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("repo", metavar="OWNER/NAME")
@click.option("--private", is_flag=True, help="If the repository is made now.")
@click.option("--license", metavar="ID", help="For the card, if none lies beside the model.")
@click.option("--message", metavar="TEXT", help="Of the commit.")
@click.option("--endpoint", metavar="URL", help="Another hub that speaks the same protocol.")
def push(
    model: Path,
    repo: str,
    private: bool,
    license: str | None,
    message: str | None,
    endpoint: str | None,
) -> None:
    """Put MODEL (a run folder or one .safetensors) into a repository, with its card and samples.

    The card is the README.md beside it, which `p2ptk card` writes; without one it is made now.
    """
    from p2ptk import hub

    click.echo(
        hub.push(model, repo, private=private, license=license, message=message, endpoint=endpoint)
    )


@click.command(
    epilog="""
\b
Examples:
  p2ptk pull me/facades -o facades
  p2ptk translate facades PICTURES -o OUT
"""
)
@click.argument("repo", metavar="OWNER/NAME")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path),
              help="Folder; it must not be there yet.")  # fmt: skip
@click.option("--revision", metavar="NAME", help="Branch, tag or commit.")
@click.option("--endpoint", metavar="URL", help="Another hub that speaks the same protocol.")
def pull(repo: str, output: Path, revision: str | None, endpoint: str | None) -> None:
    """Fetch a model, its card and samples into a new folder, which `translate` takes as MODEL."""
    from p2ptk import hub

    click.echo(hub.pull(repo, output, revision=revision, endpoint=endpoint))
