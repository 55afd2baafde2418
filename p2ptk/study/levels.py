"""Factors and their levels: what a study varies, as layers of a config."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from p2ptk.config import RunConfig
from p2ptk.errors import UserError
from p2ptk.layers import PARTS, SINGLES
from p2ptk.specs import Spec

Layers = tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Level:
    """One choice of a factor. shown: its name where the factor is not named beside it."""

    label: str
    shown: str
    layers: Layers


def settings_layers(table: Mapping[str, Any]) -> Layers:
    """A table of settings as one layer a key, dotted keys nested, in their order."""
    return tuple(_nested(name, value) for name, value in table.items())


def _nested(dotted: str, value: Any) -> dict[str, Any]:
    nested: Any = value
    for part in reversed(dotted.split(".")):
        nested = {part: nested}
    assert isinstance(nested, dict)
    return nested


def inner_parts(layer: Mapping[str, Any]) -> list[tuple[str, str, Mapping[str, Any]]]:
    """The listed parts of which a layer changes parameters: kind, key and what it sets."""
    return [
        (kind, key, value)
        for kind in PARTS
        if isinstance(layer.get(kind), Mapping)
        for key, value in layer[kind].items()
        if isinstance(value, Mapping) and "name" not in value
    ]


def in_order(layers: Layers) -> Layers:
    """Settings that change parameters come after those that choose the parts they belong to."""

    def changes(layer: Mapping[str, Any]) -> bool:
        single = (layer[key] for key in SINGLES if key in layer)
        alters = any(isinstance(each, Mapping) and "name" not in each for each in single)
        return alters or bool(inner_parts(layer))

    return tuple(sorted(layers, key=changes))


def find_factors(table: Mapping[str, Any], problems: list[str]) -> dict[str, tuple[Level, ...]]:
    """The levels of each factor of [factors]; what is wrong is added to `problems`."""
    found: dict[str, tuple[Level, ...]] = {}
    for name, value in flat(table):
        if isinstance(value, Mapping):
            levels = [
                Level(label, label, settings_layers(settings))
                for label, settings in value.items()
                if isinstance(settings, Mapping)
            ]
        elif isinstance(value, Sequence) and not isinstance(value, str):
            levels = [_level(name, each) for each in value]
        else:
            problems.append(f"factors.{name} should be a list of levels, not {value!r}.")
            continue
        labels = [level.label for level in levels]
        if not labels:
            problems.append(f"factors.{name} has no levels.")
        twice = [label for label in dict.fromkeys(labels) if labels.count(label) > 1]
        problems += [f"factors.{name} lists the level {label!r} twice." for label in twice]
        if labels and not twice:
            found[name] = tuple(levels)
    return found


def flat(table: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Factors by dotted key, whether the file quotes the dots or not."""
    for name, value in table.items():
        dotted = before + name
        if isinstance(value, Mapping) and not _named_levels(value):
            yield from flat(value, f"{dotted}.")
        else:
            yield dotted, value


def _named_levels(value: Mapping[str, Any]) -> bool:
    """Whether a factor's table holds levels by name, each a table of config keys."""
    return all(
        isinstance(settings, Mapping)
        and all(key.partition(".")[0] in RunConfig.model_fields for key in settings)
        for settings in value.values()
    )


def _level(factor: str, value: Any) -> Level:
    root, *rest = factor.split(".")
    component = (root in SINGLES and not rest) or (root in PARTS and len(rest) < 2)
    label = level_label(value)
    bare = component and value not in ("none", False, None)
    return Level(label, label if bare else f"{factor}={label}", (_nested(factor, value),))


def level_label(value: Any) -> str:
    """A level in words: `patchgan:layers=3`, `100`, `gan + l1:weight=100`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping) and "name" in value:
        try:
            return str(Spec.of(value))
        except UserError:
            return str(dict(value))
    if isinstance(value, (list, tuple)):
        return " + ".join(level_label(each) for each in value) or "none"
    return str(value)
