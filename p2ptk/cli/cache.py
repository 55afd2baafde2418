"""`p2ptk cache`: list and clear the decoded pairs that are kept between runs."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from p2ptk.cli import common_options

if TYPE_CHECKING:
    from p2ptk.pairs.kept import Entry

EXAMPLES = """
\b
Examples:
  p2ptk cache
  p2ptk cache clear 1f0c9b2d4e        (the first letters of a key are enough)
  p2ptk cache clear --all

Pairs that take more than a second to decode are kept, and found again as long as their files, the
dataset's parameters and the versions of what decodes stay the same. P2PTK_CACHE names another
folder, P2PTK_CACHE_SIZE the most that it may take (as 500MB; 0 keeps nothing new; by default 20 GB
or a quarter of the free disk); what was not used for longest goes first. `p2ptk run --no-cache`
does without.
"""


@click.group(invoke_without_command=True, epilog=EXAMPLES)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@click.pass_context
def cache(context: click.Context, as_json: bool) -> None:
    """List the decoded pairs that are kept between runs, and what they take."""
    if context.invoked_subcommand is None:
        show(as_json)


@cache.command()
@click.argument("keys", nargs=-1, metavar="[KEY]...")
@click.option("--all", "everything", is_flag=True, help="Delete all of it.")
@click.option("--json", "as_json", is_flag=True, help="Print what was deleted as JSON.")
def clear(keys: Sequence[str], everything: bool, as_json: bool) -> None:
    """Delete entries by key, or all. Runs that read them now are not disturbed."""
    from p2ptk.errors import UserError
    from p2ptk.pairs.kept import entries, remove, remove_all

    if bool(keys) == everything:
        raise UserError("say what to delete: keys as `p2ptk cache` lists them, or --all.")
    kept = entries()
    gone = kept if everything else [_named(key, kept) for key in dict.fromkeys(keys)]
    if everything:
        remove_all()
    for entry in gone:
        remove(entry.key)
    freed = sum(entry.nbytes for entry in gone)
    if as_json:
        click.echo(json.dumps({"deleted": [entry.key for entry in gone], "bytes": freed}))
    else:
        click.echo(f"deleted {_count(len(gone))}, {in_words(freed)}")


clear.params += common_options()


def show(as_json: bool) -> None:
    """Print what is kept, the one used last first."""
    from p2ptk.pairs.kept import entries, pairs_folder, size_limit

    kept, limit = entries(), size_limit()
    total = sum(entry.nbytes for entry in kept)
    if as_json:
        rows = [
            {
                "key": entry.key,
                "dataset": entry.title,
                "pairs": entry.pairs,
                "bytes": entry.nbytes,
                "used": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(entry.used)),
                "path": str(entry.path),
            }
            for entry in kept
        ]
        about = {"folder": str(pairs_folder()), "limit": limit, "bytes": total, "entries": rows}
        click.echo(json.dumps(about, indent=1, ensure_ascii=False))
        return
    if kept:
        from rich import box
        from rich.console import Console
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for head in ("key", "dataset", "pairs", "size", "used"):
            number = head in ("pairs", "size")
            table.add_column(head, justify="right" if number else "left", overflow="fold")
        for entry in kept:
            used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used))
            table.add_row(entry.key, entry.title, str(entry.pairs), in_words(entry.nbytes), used)
        Console(soft_wrap=True).print(table, markup=False)
    click.echo(f"{_count(len(kept))}, {in_words(total)} of {in_words(limit)}, {pairs_folder()}")


def in_words(size: int) -> str:
    """Bytes for people: `157 MB`, `2.4 GB`."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def _count(number: int) -> str:
    return f"{number} entr{'y' if number == 1 else 'ies'}"


def _named(key: str, kept: Sequence[Entry]) -> Entry:
    """The entry whose key begins so. Raises UserError where there is none, or more than one."""
    from p2ptk.errors import UserError, did_you_mean

    found = [entry for entry in kept if entry.key.startswith(key)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"{len(found)} keys begin with {key!r}: write more of it.")
    near = did_you_mean(key, [entry.key for entry in kept])
    raise UserError(f"no key of the cache begins with {key!r}: {near}")
