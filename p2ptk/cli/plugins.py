"""`p2ptk plugins`: list plugins and what became of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from p2ptk.cli.components import PLURALS, load_local, local_plugins

if TYPE_CHECKING:
    from p2ptk.plugins import Status

STYLES = {"active": "green", "disabled": "dim", "failed": "red", "incompatible": "yellow"}


@click.command(
    epilog="""
P2PTK_PLUGINS lists the distributions to load, --no-plugins loads none, and
P2PTK_STRICT_PLUGINS=1 makes a plugin that does not load an error.
"""
)
@local_plugins
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@click.pass_context
def plugins(context: click.Context, files: Sequence[str], as_json: bool) -> None:
    """List every plugin: its version, whether it is in use, what it provides, or why not.

    With -v also the names, the seconds that loading took, and (on standard error) tracebacks.
    """
    from p2ptk.plugins import registry

    load_local(files)
    found = registry().plugins
    if as_json:
        click.echo(json.dumps([plain(s) for s in found], indent=1, ensure_ascii=False))
    else:
        _print(found, verbose=bool((context.find_root().obj or {}).get("verbose")))


def plain(status: Status) -> dict[str, Any]:
    """One plugin's state in plain values."""
    return {
        "distribution": status.distribution,
        "version": status.version,
        "status": status.status,
        "provides": names_by_kind(status),
        "reason": status.reason,
        "seconds": round(status.seconds, 4),
        "traceback": status.trace,
    }


def names_by_kind(status: Status) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for provided in status.provides:
        found.setdefault(provided.kind, []).append(provided.name)
    return found


def counts(status: Status) -> str:
    """`3 generators, 1 encoder`."""
    plurals = {kind: plural for plural, kind in PLURALS.items()}
    return ", ".join(
        f"{len(names)} {kind if len(names) == 1 else plurals[kind]}"
        for kind, names in names_by_kind(status).items()
    )


def _print(found: Sequence[Status], verbose: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("plugin", "version", "status"):
        table.add_column(heading, no_wrap=True)
    table.add_column("provides, or why not", overflow="fold")
    if verbose:
        table.add_column("seconds", justify="right")
    for status in found:
        about = Text(status.reason)
        if status.provides and verbose:
            kinds = names_by_kind(status).items()
            about = Text("\n".join(f"{kind}: {', '.join(names)}" for kind, names in kinds))
        elif status.provides:
            about = Text(counts(status))
        table.add_row(
            Text(status.distribution, style="bold"),
            Text(status.version[:15] if status.version[:7] == "sha256:" else status.version),
            Text(status.status, style=STYLES[status.status]),
            about,
            *([Text(f"{status.seconds:.3f}")] if verbose else []),
        )
    console = Console(highlight=False)
    console.print(table)
    if any(status.trace for status in found) and not verbose:
        console.print(Text("\n-v shows the tracebacks", style="dim"))
