"""What a report says of a run in words and numbers."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from p2ptk.config import RunConfig
from p2ptk.interrupts import clock
from p2ptk.specs import Spec


def loss_table(rows: Sequence[Mapping[str, Any]], config: RunConfig) -> list[dict[str, Any]]:
    """Each logged term with its weight, its first value, and its mean over the last tenth."""
    names = {name for row in rows for name in row if name[:2] in ("g_", "d_")}
    order = ["loss", *config.losses, "real", "fake"]
    late = rows[-max(1, len(rows) // 10) :]
    table = []
    for name in sorted(names, key=lambda n: (n[:2] != "g_", _rank(n[2:], order), n)):
        start, end = (_numbers(some, name) for some in (rows, late))
        spec = config.losses.get(name[2:])
        table.append(
            {
                "side": {"g_": "generator", "d_": "discriminator"}[name[:2]],
                "term": "total" if name.endswith("_loss") else name[2:],
                "weight": spec.params.get("weight", 1) if spec else None,
                "start": f"{start[0]:.4g}" if start else "not finite",
                "end": f"{sum(end) / len(end):.4g}" if end else "not finite",
            }
        )
    # A side of one term has no need of a total.
    same = {(row["side"], row["start"], row["end"]) for row in table if row["term"] != "total"}
    return [
        row
        for row in table
        if row["term"] != "total" or (row["side"], row["start"], row["end"]) not in same
    ]


def _rank(word: str, order: Sequence[str]) -> int:
    return order.index(word) if word in order else len(order)


def _numbers(rows: Iterable[Mapping[str, Any]], name: str) -> list[float]:
    return [row[name] for row in rows if isinstance(row.get(name), (int, float))]


def total_steps(config: RunConfig) -> int | None:
    """Steps of the whole run; None where it counts epochs of an unknown number of pairs."""
    pairs = config.record.get("pairs")
    if config.train.steps or not pairs:
        return config.train.steps
    seen = config.train.batch_size * config.train.d_steps
    return math.ceil((config.train.epochs or 1) * pairs / seen)


def tiles(
    step: int, total: int | None, last: Mapping[str, Any], record: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """The numbers at the top: (what, how much)."""
    found = [("step" if total is None else f"of {total:,} steps", f"{step:,}")]
    if "epoch" in last:
        found.append(("epochs", f"{last['epoch']:.4g}"))
    if "pairs" in record:
        found.append(("training pairs", f"{record['pairs']:,}"))
    if "seconds" in last:
        found.append(("of training", clock(last["seconds"])))
    if "images_per_s" in last:
        found.append(("images/s", f"{last['images_per_s']:.3g}"))
    return found


def facts(config: RunConfig) -> Iterable[tuple[str, list[tuple[str, str]]]]:
    """What was trained: a label, and (name, details) of each thing under it."""
    train, record = config.train, config.record
    yield "data", [_words(config.data)]
    yield "direction", [(arrow(config.direction), "")]
    yield "generator", [_words(config.generator)]
    yield (
        "discriminator",
        [_words(config.discriminator)] if config.discriminator else [("none", "")],
    )
    yield "losses", [_words(spec, key) for key, spec in config.losses.items()]
    if config.augmentations:
        yield "augmentations", [_words(spec, key) for key, spec in config.augmentations.items()]
    batch = f"batch {train.batch_size}"
    seen = f", validated at {_size(config.val_size)}" if config.val_size else ""
    yield "size", [(_size(config.size), batch + seen)]
    lr = f"lr {train.lr:g}, {train.schedule}"
    yield "optimiser", [(train.optimizer, f"{lr}, EMA {train.ema:g}" if train.ema else lr)]
    if config.init:
        yield "started from", [(config.init, "")]
    precision = record.get("precision", config.precision)
    yield "device", [(str(record.get("device", config.device)), f"{precision}, seed {config.seed}")]
    yield "recipe", [(config.recipe or "none", "")]


def arrow(direction: str) -> str:
    return direction.replace("to", " → ")


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]} × {size[1]}"


def data_name(spec: Spec) -> str:
    """The folder that the pairs came from, else the dataset's name."""
    path = spec.params.get("path") or spec.params.get("root")
    return Path(str(path)).name if path else spec.name


def _words(spec: Spec, key: str = "") -> tuple[str, str]:
    """A component's name, its weight if it has one, and its parameters."""
    rest = spec.without("weight")
    name = f"{key} ({spec.name})" if key not in ("", spec.name) else spec.name
    if spec.params.get("weight", 1) != 1:
        name = f"{spec.params['weight']:g} × {name}"
    return name, str(rest)[len(rest.name) + 1 :].replace(",", ", ")


def environment(path: Path, config: RunConfig) -> list[tuple[str, str]]:
    """What environment.json says, where it is there, and the providers of the components."""
    flat = {**flat_environment(path), **config.providers}
    return [(str(name), str(value)) for name, value in flat.items()]


def flat_environment(path: Path) -> dict[str, str]:
    """What an environment.json says, packages and providers beside the rest; nothing without it."""
    try:
        table = json.loads(path.read_text("utf-8"))
        nested = {**table.pop("packages", {}), **table.pop("providers", {})}
        command = [str(word) for word in table.pop("command", [])]
    except (OSError, ValueError, AttributeError, TypeError):
        table, nested, command = {}, {}, []
    if command:
        table["command"] = shlex.join([Path(command[0]).name, *command[1:]])
    flat = {**table, **nested}
    return {str(name): str(value) for name, value in flat.items() if value is not None}


def cost(last: Mapping[str, Any], config: RunConfig) -> Iterable[tuple[str, list[tuple[str, str]]]]:
    """What the run took so far: time on which device, pictures seen."""
    if "seconds" not in last:
        return
    device = str(config.record.get("device", config.device))
    train = config.train
    seen = int(last.get("step", 0)) * train.batch_size * train.d_steps
    speed = f", {last['images_per_s']:.3g} a second" if "images_per_s" in last else ""
    yield "cost", [(f"{clock(last['seconds'])} on {device}", f"{seen:,} training pictures{speed}")]
