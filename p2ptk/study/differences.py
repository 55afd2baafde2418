"""What two configs have in which they differ, key by key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from p2ptk.config import RunConfig
from p2ptk.layers import PARTS, SINGLES
from p2ptk.manifest import short
from p2ptk.specs import Spec

_BESIDE = ("format", "recipe", "providers", "record")
_KINDS = {"data": "dataset", "losses": "loss", "augmentations": "augmentation"}
_KINDS |= {"trackers": "tracker", "metrics": "metric"}


def differences(one: RunConfig, other: RunConfig) -> dict[str, tuple[str, str]]:
    """The values of both by dotted key, where they are not the same; `none` for what is absent.

    Of two components of one name only the parameters that differ are given, else both specs.
    """
    found: dict[str, tuple[str, str]] = {}
    a, b = _components(one), _components(other)
    for key in dict.fromkeys([*a, *b]):
        found |= _of_components(key, a.get(key), b.get(key))
    first, second = _plain(one), _plain(other)
    for key in dict.fromkeys([*first, *second]):
        if first.get(key) != second.get(key):
            found[key] = (_shown(first.get(key)), _shown(second.get(key)))
    return found


def _components(config: RunConfig) -> dict[str, Spec]:
    singles = {key: getattr(config, key) for key in SINGLES}
    parts = {f"{kind}.{k}": s for kind in PARTS for k, s in getattr(config, kind).items()}
    return {key: spec for key, spec in {**singles, **parts}.items() if spec is not None}


def _of_components(key: str, a: Spec | None, b: Spec | None) -> dict[str, tuple[str, str]]:
    if a is None or b is None or a.name != b.name:
        return {} if a is b else {key: (_named(key, a), _named(key, b))}
    names = dict.fromkeys([*a.params, *b.params])
    pairs = {f"{key}.{n}": (a.params.get(n), b.params.get(n)) for n in names}
    return {n: (_shown(x), _shown(y)) for n, (x, y) in pairs.items() if x != y}


def _named(key: str, spec: Spec | None) -> str:
    root = key.partition(".")[0]
    return "none" if spec is None else short(_KINDS.get(root, root), spec)


def _plain(config: RunConfig) -> dict[str, Any]:
    table = config.table()
    beside = (*_BESIDE, *SINGLES, *PARTS)
    return _flat({key: value for key, value in table.items() if key not in beside})


def _flat(table: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in table.items():
        inner = isinstance(value, Mapping)
        found |= _flat(value, f"{before}{key}.") if inner else {before + key: value}
    return found


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "none" if value is None else str(value)
