"""The layers that make a config: recipe < config file < --set < flags, merged as plain tables.

A component's table that has a `name` replaces the layer below; one without changes parameters
only. Keyed components (`losses`, `augmentations`, `trackers`, `metrics`) are tables by key: a list
replaces them all, a table changes those it names, and `KEY = false` removes one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from p2ptk.components import find
from p2ptk.errors import UserError
from p2ptk.specs import Spec, read_value

PARTS = ("losses", "augmentations", "trackers", "metrics")  # tables of keyed components
SINGLES = ("data", "generator", "discriminator")


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """One layer over another. Neither is changed."""
    merged = dict(below)
    for name, value in above.items():
        if name in PARTS:
            merged[name] = _merge_parts(merged.get(name, {}), value)
        elif name in SINGLES:
            merged[name] = _merge_component(merged.get(name), value)
        elif isinstance(value, Mapping) and isinstance(merged.get(name), Mapping):
            merged[name] = merge(merged[name], value)
        else:
            merged[name] = value
    if "steps" in above and "epochs" not in above:
        merged.pop("epochs", None)
    if "epochs" in above and "steps" not in above:
        merged.pop("steps", None)
    return merged


def _merge_component(below: Any, above: Any) -> Any:
    if above in (None, "none", False):
        return None
    if isinstance(above, str):
        return Spec.parse(above).table()
    if isinstance(above, Mapping) and "name" not in above and isinstance(below, Mapping):
        return {**below, **above}
    return above


def _merge_parts(below: Any, above: Any) -> dict[str, Any]:
    """Keyed components: a list replaces the table below, a table changes it; `false` removes."""
    if isinstance(above, Sequence) and not isinstance(above, str):
        return keyed(above)
    if not isinstance(above, Mapping):
        raise UserError(f"expected a table or a list of components, not {above!r}.")
    # The layer below may be a recipe as it was read, with its parts still in a list.
    merged = dict(below) if isinstance(below, Mapping) else keyed(below)
    for name, value in above.items():
        if value in (None, "none", False):
            merged.pop(name, None)
        else:
            merged[name] = _merge_component(merged.get(name), value)
    return merged


def keyed(specs: Sequence[Any]) -> dict[str, Any]:
    """Listed components by their keys: `as`, else the name."""
    found: dict[str, Any] = {}
    for item in specs:
        table = Spec.of(item).table()
        name = table.pop("as", table["name"])
        if name in found:
            raise UserError(f"{name!r} is listed twice: give one of them another key, as=KEY.")
        found[name] = table
    return found


def name_parts(merged: Mapping[str, Any]) -> dict[str, Any]:
    """Give every keyed component that has no name its key as name."""
    named = dict(merged)
    for parts in PARTS:
        named[parts] = {
            k: {"name": k, **v} if isinstance(v, Mapping) else v
            for k, v in named.get(parts, {}).items()
        }
    return named


def layers_of(table: Mapping[str, Any], recipe: str | None = None) -> list[dict[str, Any]]:
    """A table's recipe (or the one given) below the table itself."""
    name = recipe or table.get("recipe") or "pix2pix"
    if not isinstance(name, str):
        raise UserError(f"recipe is a name, not {name!r}.")
    return [{**read_recipe(name), "recipe": name}, {**table, "recipe": name}]


def read_recipe(name: str) -> dict[str, Any]:
    """The TOML of a recipe component, with any recipe it builds on merged below."""
    package, _, path = str(find("recipe", name).component.target).partition(":")
    table = tomllib.loads(resources.files(package).joinpath(path).read_text("utf-8"))
    base = table.pop("recipe", None)
    return merge(read_recipe(base), table) if base else table


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file. Raises UserError where it is missing or broken."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UserError(f"there is no config file {str(path)!r}.") from None
    except (ValueError, RecursionError, OSError) as error:  # no TOML, no text, no end of brackets
        raise UserError(f"{path} can't be read as TOML: {error}.") from None


def parse_setting(text: str) -> dict[str, Any]:
    """`train.lr=1e-4` as a nested table."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise UserError(f"--set takes KEY=VALUE, not {text!r}.")
    nested: Any = read_value(value)
    for part in reversed(name.strip().split(".")):
        nested = {part.replace("-", "_") if part not in PARTS else part: nested}
    return nested


def listed(name: str, spec: Spec) -> dict[str, Any]:
    """A keyed component as an item of a list: the inverse of `keyed`."""
    return spec.table() | ({"as": name} if name != spec.name else {})
