"""Options of `p2ptk run` made from RunConfig's fields, and specs as a command line takes them."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import click
from click.shell_completion import CompletionItem
from pydantic.fields import FieldInfo

from p2ptk.config import options
from p2ptk.contracts import Dataset
from p2ptk.errors import UserError, did_you_mean
from p2ptk.files import is_there
from p2ptk.specs import Spec, read_value

_FILE_CLASS = re.compile(r"(?P<file>.+\.py):(?P<name>\w+)(?P<rest>:.*)?\Z", re.DOTALL)


class ComponentSpec(click.ParamType):
    """A spec of some kind; the shell completes its name."""

    name = "spec"

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from p2ptk.components import list_components

        sign = incomplete[:1] if incomplete[:1] in "+-" else ""
        return [
            CompletionItem(sign + p.name, help=p.component.summary)
            for p in list_components(self.kind)
            if p.name.startswith(incomplete.removeprefix(sign))
        ]


def config_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option for every RunConfig field that has a flag; it is passed as `set_KEY`."""
    for dotted, info in reversed(options().items()):
        extra = info.json_schema_extra
        if isinstance(extra, dict) and "flag" in extra:
            names = [str(extra["flag"]), _variable(dotted)]
            command = click.option(*names, help=info.description, **_shape(info))(command)
    return command


def _variable(dotted: str) -> str:
    return "set_" + dotted.replace(".", "__")


def _shape(info: FieldInfo) -> dict[str, Any]:
    """click's arguments for a field: a switch, a choice, or a value that pydantic checks later."""
    annotation = info.annotation
    if annotation is bool:
        return {"is_flag": True, "default": None}
    if get_origin(annotation) is Literal:
        return {"type": click.Choice([str(choice) for choice in get_args(annotation)])}
    members = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else ()
    kinds = [annotation, *members]
    metavar = "NUMBER" if int in kinds or float in kinds else "TEXT"
    return {"metavar": metavar}


def given_layer(flags: dict[str, Any]) -> dict[str, Any]:
    """The flags that were given, as a table to merge over the other layers."""
    table: dict[str, Any] = {}
    for dotted in options():
        value = flags.pop(_variable(dotted), None)
        if value is None:
            continue
        *sections, name = dotted.split(".")
        place = table
        for section in sections:
            place = place.setdefault(section, {})
        place[name] = read_value(value) if isinstance(value, str) else value
    return table


def local_class(text: str, kind: str) -> tuple[str, str | None]:
    """`./net.py:Mine:width=3` -> (`Mine:width=3`, the plugin entry `generator=./net.py:Mine`)."""
    match = _FILE_CLASS.fullmatch(text)
    if not match:
        return text, None
    entry = f"{kind}={match['file']}:{match['name']}"
    return match["name"] + (match["rest"] or ""), entry


def parts_after(given: Sequence[str], below: dict[str, Any]) -> list[dict[str, Any]]:
    """`-L` or `-A`: plain specs replace the list, `+SPEC` adds to it, `-NAME` takes away.

    below: what the other layers list, by key. `none` alone empties the list.
    Raises UserError for a name that is not there, or one that is there already.
    """
    if list(given) == ["none"]:
        return []
    replaces = any(text[:1] not in ("+", "-") for text in given)
    table = {} if replaces else dict(below)
    for text in given:
        if text.startswith("-"):
            if text[1:] not in table:
                raise UserError(f"{text[1:]!r} is not in the list: {did_you_mean(text[1:], table)}")
            del table[text[1:]]
            continue
        spec = Spec.parse(text.removeprefix("+"))
        key = str(spec.params.get("as", spec.name))
        if key in table:
            raise UserError(f"{key!r} is there already: give the new one another key, as=KEY.")
        table[key] = spec.table()
    return [{**item, "as": key} for key, item in table.items()]


def data_spec(text: str) -> tuple[Spec, str | None]:
    """`-d`: a path whose layout is guessed (and said), or a spec.

    An existing path, or a text with a path separator or a drive letter, is a path. Raises UserError
    for a URL, which says nothing of what lies there.
    """
    if re.match(r"[a-z][a-z0-9]+://", text):
        raise UserError(
            f"{text} is a URL: say what reads it, as webdataset:path={text} for tar shards or "
            f"hf:path={text} for parquet (both of the plugin p2ptk-shards)."
        )
    looks_like_path = is_there(text) or (
        ":" not in text.replace(":\\", "").replace(":/", "") and re.search(r"[\\/]", text)
    )
    if not looks_like_path:
        return Spec.parse(text), None
    from p2ptk.datasets.guess import guess

    return guess(Path(text).expanduser())


def open_data(text: str, skip_bad: bool = False) -> Dataset:
    """The dataset that `-d` means; says on standard error what was guessed."""
    from p2ptk.components import create

    spec, said = data_spec(text)
    if said:
        click.echo(said, err=True)
    dataset: Dataset = create("dataset", spec.having(skip_bad=True) if skip_bad else spec)
    return dataset


def read_size(text: str | None) -> tuple[int, int] | None:
    """`--size`: N or HEIGHTxWIDTH in pixels. Raises UserError for anything else."""
    if text is None:
        return None
    sides = text.split("x")
    plain = all(re.fullmatch(r"0*[1-9][0-9]{0,8}", side) for side in sides)
    if not plain or len(sides) > 2:
        raise UserError(f"--size takes N or HEIGHTxWIDTH, not {text!r}.")
    return int(sides[0]), int(sides[-1])
