"""`p2ptk show`: explain a component, a recipe, or a model file."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from p2ptk.cli.components import (
    Kind,
    kind_of,
    kinds_with,
    load_local,
    local_plugins,
    need_kind,
    what_to_type,
)
from p2ptk.errors import UserError, did_you_mean
from p2ptk.specs import Spec

if TYPE_CHECKING:
    from rich.console import RenderableType


class ComponentName(click.ParamType):
    """The name of a component of the kind given before it; the shell completes it."""

    name = "name"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from p2ptk.components import list_components

        kind = kind_of(ctx.params.get("what") or "")
        return [
            CompletionItem(p.name, help=p.component.summary)
            for p in (list_components(kind) if kind else [])
            if p.name.startswith(incomplete)
        ]


@click.command(
    epilog="""
\b
Examples:
  p2ptk show generator unet              parameters, sizes, where it comes from
  p2ptk show generator unet:width=32     the same with these parameters
  p2ptk show encoder 'timm:model=res*'   the names that a parameter takes
  p2ptk show recipe pix2pix              its TOML
  p2ptk show runs/facades                the newest weights of a run
  p2ptk show model.safetensors
"""
)
@click.argument("what", metavar="{KIND NAME | MODEL}", type=Kind())
@click.argument("name", metavar="", required=False, type=ComponentName())
@local_plugins
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def show(what: str, name: str | None, files: Sequence[str], as_json: bool) -> None:
    """Explain a component by KIND and NAME, or say what a MODEL file or run folder holds."""
    from p2ptk.cli.show_component import component_facts, matching_names, recipe_facts
    from p2ptk.cli.show_model import model_facts, model_lines

    load_local(files)
    present: Callable[[dict[str, Any]], None]
    if name is None:
        refuse_component(what)
        facts, present = model_facts(what), lambda found: print_lines(model_lines(found))
    elif (kind := need_kind(what)) == "recipe":
        facts, present = recipe_facts(name), print_recipe
    elif found := matching_names(kind, Spec.parse(name)):
        facts, present = found, print_matches
    else:
        facts, present = component_facts(kind, Spec.parse(name)), print_component
    if as_json:
        click.echo(json.dumps(facts, indent=1, ensure_ascii=False))
    else:
        present(facts)


def refuse_component(word: str) -> None:
    """Raises UserError where one word is a kind's or a component's name, and no file's."""
    if Path(word).exists():
        return
    kind = kind_of(word)
    if kind:
        raise UserError(
            f"{word!r} is a kind; type `p2ptk components {word}` for the list, or "
            f"`p2ptk show {kind} NAME` for one of them."
        )
    name = word.partition(":")[0]
    kinds = kinds_with(name)
    if kinds:
        raise UserError(f"there is no model {word!r}, but {what_to_type(name, kinds)}")
    if not {"/", "\\", "."} & set(word):
        from p2ptk.components import list_components

        near = did_you_mean(name, [p.name for p in list_components()], many=0)
        if near.startswith("did you mean"):
            raise UserError(f"there is no model, and no component, {word!r}: {near}")


def print_component(facts: dict[str, Any]) -> None:
    """A component's facts for people."""
    from rich.table import Table
    from rich.text import Text

    network = facts.get("network", {})
    lines: list[tuple[str, str]] = []
    if "error" in network:
        lines.append(("network", f"can't be built here: {network['error']}"))
    elif network:
        count = f"{network['parameters']:,}, for pictures of {network['inputs']} channels"
        if network["trainable"] != network["parameters"]:
            count += f"; {network['trainable']:,} of them train"
        lines.append(("weights", count))
    for key, label, words in (
        ("size_multiple", "size", "height and width in multiples of {}"),
        ("receptive_field", "judges", "patches of {} pixels a side"),
        ("channels", "features", "{} channels"),
        ("strides", "strides", "{}"),
    ):
        if key in network:
            shown = network[key]
            shown = ", ".join(map(str, shown)) if isinstance(shown, list) else shown
            lines.append((label, words.format(shown)))
    lines += [(key, facts[key]) for key in ("provider", "source", "paper") if facts.get(key)]

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("parameter", "value" if facts.get("given") else "default", "type"):
        table.add_column(heading, overflow="fold")
    for p in facts.get("parameters", []):
        value = _value(p.get("value", p.get("default", "required")))
        style = "bold" if "value" in p else "dim" if "default" not in p else ""
        about = Text(p["type"])
        if p["doc"]:
            about.append(f"\n{p['doc']}", "dim")
        table.add_row(Text(p["name"], style="cyan"), Text(value, style=style), about)
    title = Text.assemble(
        f"{facts['kind']} ", (facts["name"], "bold cyan"), f": {facts['summary']}"
    )
    parts: list[RenderableType] = [title, Text()]
    if facts.get("doc"):
        parts += [Text(facts["doc"]), Text()]
    parts.append(_grid(lines))
    if facts.get("parameters"):
        parts += [Text(), table]
    _console().print(*parts, Text(), Text(facts["example"], style="green"), sep="\n")


def print_matches(facts: dict[str, Any]) -> None:
    """The names that a wildcard stands for: in columns for people, a line each in a pipe."""
    console, names = _console(), facts["matches"]
    if not console.is_terminal:
        click.echo("\n".join(names))
        return
    from rich.columns import Columns
    from rich.text import Text

    counted = f"{len(names)} name{'s' * (len(names) != 1)}"
    console.print(f"{facts['parameter']} of {facts['kind']} {facts['name']}: {counted}\n")
    console.print(Columns([Text(name, style="cyan") for name in names], column_first=True))


def print_recipe(facts: dict[str, Any]) -> None:
    """The recipe as TOML that can be saved as it is printed."""
    console = _console()
    head = f"# {facts['name']}, of {facts['provider']}: {facts['source']}\n"
    text = head + facts["toml"].rstrip("\n")
    if console.is_terminal:
        from rich.syntax import Syntax

        console.print(
            Syntax(text, "toml", theme="ansi_dark", background_color="default", word_wrap=True)
        )
    else:
        click.echo(text)


def print_lines(lines: Sequence[tuple[str, str]]) -> None:
    _console().print(_grid(lines))


def _grid(lines: Sequence[tuple[str, str]]) -> RenderableType:
    """Label and text, a line each; a label that repeats is shown once."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    before = None
    for label, words in lines:
        grid.add_row(Text(label if label != before else "", style="dim"), Text(words))
        before = label
    return grid


def _console() -> Any:
    from rich.console import Console

    return Console(highlight=False)


def _value(value: Any) -> str:
    """A parameter's value as a spec writes it."""
    text = str(Spec("x", {"x": value}))[4:]
    return text if len(text) < 60 else text[:57] + "..."
