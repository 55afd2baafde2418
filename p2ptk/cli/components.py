"""`p2ptk components`: list what there is to choose from."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from p2ptk.contracts import KINDS
from p2ptk.errors import UserError, did_you_mean
from p2ptk.hooks import hook_name

if TYPE_CHECKING:
    from p2ptk.plugins import Provided

PLURALS = {hook_name(kind).removeprefix("p2ptk_"): kind for kind in KINDS}


def local_plugins(command: Callable[..., Any]) -> Callable[..., Any]:
    """The option that loads one-off plugin files, which the command gets as `files`."""
    return click.option(
        "--plugin", "files", metavar="FILE.py", multiple=True, help="Load a local plugin."
    )(command)


def load_local(files: Sequence[str]) -> None:
    """Have the registry load one-off plugin files too."""
    if files:
        from p2ptk.plugins import configure

        configure(files=files)


def kind_of(word: str) -> str | None:
    """The kind that a word names, in the singular or the plural."""
    return PLURALS.get(word, word if word in KINDS else None)


def need_kind(word: str) -> str:
    """The kind that a word names. Raises UserError saying which there are, or what the word is."""
    kind = kind_of(word)
    if kind is None:
        known = kinds_with(word)
        near = did_you_mean(word, PLURALS if word.endswith("s") else KINDS)
        hint = what_to_type(word, known) if known else near
        raise UserError(f"there is no kind {word!r}: {hint}")
    return kind


def kinds_with(name: str) -> list[str]:
    """The kinds that have a component of that name."""
    from p2ptk.components import list_components

    found = [p.kind for p in list_components() if name in (p.name, p.qualified)]
    return list(dict.fromkeys(found))


def what_to_type(name: str, kinds: Sequence[str]) -> str:
    """The end of a sentence about a component's name without its kind."""
    which = " and ".join(f"{'an' if k[0] in 'aeiou' else 'a'} {k}" for k in kinds)
    commands = " or ".join(f"`p2ptk show {k} {name}`" for k in kinds)
    return f"{name!r} is {which}; type {commands}."


def short_provider(provided: Provided) -> str:
    """Distribution and version; of a local file's SHA-256 the first digits."""
    version = provided.version
    return f"{provided.distribution} {version[:15] if version[:7] == 'sha256:' else version}"


class Kind(click.ParamType):
    """A kind of component; the shell completes it."""

    name = "kind"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return [CompletionItem(kind) for kind in KINDS if kind.startswith(incomplete)]


@click.command(
    epilog="""
\b
Examples:
  p2ptk components                  everything
  p2ptk components losses           one kind
  p2ptk components generator 'u*'   one kind, by name
"""
)
@click.argument("kind", required=False, type=Kind())
@click.argument("pattern", metavar="[GLOB]", default="*")
@local_plugins
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def components(kind: str | None, pattern: str, files: Sequence[str], as_json: bool) -> None:
    """List components by kind: name, what it is, and the distribution it came with."""
    from p2ptk.components import list_components

    load_local(files)
    if pattern == "*" and set(kind or "") & set("*?["):
        kind, pattern = None, str(kind)  # a glob alone goes over all kinds
    found = list_components(need_kind(kind) if kind else None, pattern)
    if as_json:
        click.echo(json.dumps([_plain(p) for p in found], indent=1, ensure_ascii=False))
    elif not found:
        what = need_kind(kind) if kind else "component"
        click.echo(f"no {what} is called {pattern!r}" if pattern != "*" else f"no {what} here")
    else:
        _print(found)


def _plain(provided: Provided) -> dict[str, Any]:
    return {
        "kind": provided.kind,
        "name": provided.name,
        "summary": provided.component.summary,
        "paper": provided.component.paper,
        "distribution": provided.distribution,
        "version": provided.version,
    }


def _print(found: Sequence[Provided]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    table.add_column(style="dim", no_wrap=True)
    plurals = {kind: plural for plural, kind in PLURALS.items()}
    for kind in dict.fromkeys(p.kind for p in found):
        if table.row_count:
            table.add_row()
        table.add_row(Text(plurals[kind], style="bold"))
        for p in (p for p in found if p.kind == kind):
            name, summary = Text(f"  {p.name}", style="cyan"), Text(p.component.summary)
            table.add_row(name, summary, Text(short_provider(p)))
    Console().print(table)
