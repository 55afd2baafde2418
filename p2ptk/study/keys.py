"""What a run of a study is called: a sum over all that decides its result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from p2ptk.config import RunConfig

# Keys of a config that leave a run's result as it is, and so are no part of what it is called.
_BESIDE = ("format", "recipe", "providers", "record", "workers", "cache", "trackers")
SECTIONS = ("train", "output", "inference")
_BESIDE_OUTPUT = ("log_every", "sample_every", "checkpoint_every", "keep", "samples")


def run_key(config: RunConfig, images: str = "", written: Mapping[str, str] | None = None) -> str:
    """What a run is called: 12 digits of a sum over all that decides its result.

    Options at their default are left out, so that one which a later release adds changes no name;
    the providers, which stand in it, have the release's version.
    config: resolved. images: a folder that is scored instead of a run; only the pairs matter then.
    written: paths as the study file has them, so that a study that was moved keeps its runs.
    """
    table = _unusual({k: v for k, v in config.table().items() if k not in _BESIDE})
    table["output"] = {
        k: v for k, v in table.get("output", {}).items() if k not in _BESIDE_OUTPUT
    }  # fmt: skip
    if images:
        same = ("data", "direction", "size", "val_size", "seed")
        table = {key: table[key] for key in same if key in table}
    whole = {
        "config": table,
        "providers": {k: v for k, v in config.providers.items() if not k.startswith("tracker/")},
        "images": images,
    }
    short = _as_written(whole, written or {})
    text = json.dumps(short, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _unusual(table: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are not at their default, sections looked into."""
    usual = RunConfig().table()
    found: dict[str, Any] = {}
    for name, value in table.items():
        if name in SECTIONS:
            found[name] = {k: v for k, v in value.items() if v != usual[name].get(k)}
        elif value != usual.get(name):
            found[name] = value
    return found


def _as_written(value: Any, written: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _as_written(item, written) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_written(item, written) for item in value]
    return written.get(value, value) if isinstance(value, str) else value
