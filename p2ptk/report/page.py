"""The page of a run: one HTML file that holds its pictures and needs nothing else."""

from __future__ import annotations

import base64
import io
import json
import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError, features

import p2ptk
from p2ptk.config import RunConfig
from p2ptk.files import write_atomically
from p2ptk.interrupts import clock
from p2ptk.layers import read_toml
from p2ptk.runfolder import RunFolder
from p2ptk.specs import Spec

SHEETS = 12  # at most in a page, the first and the newest among them
NEWEST_BYTES, EARLIER_BYTES = 600_000, 200_000  # a PNG up to this size goes in as it is
EARLIER_PIXELS = 1_200_000  # larger ones are reduced to this


def write_report(folder: RunFolder) -> Path | None:
    """Write report.html from what the run folder holds, be the run over or not.

    Gives its path, or None without jinja2. Raises UserError where there is no run, or where its
    run.toml can't be read.
    """
    folder.need_run()
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError:
        return None
    text = resources.files(__package__).joinpath("page.html.jinja").read_text("utf-8")
    template = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).from_string(text)
    write_atomically(folder.report, template.render(contents(folder)).encode())
    return folder.report


def contents(folder: RunFolder) -> dict[str, Any]:
    """What the page says, in plain values."""
    config = RunConfig.of(read_toml(folder.config))
    rows = folder.read_log()
    last = rows[-1] if rows else {}
    step, total = last.get("step", 0), _total(config)
    sheets = read_sheets(folder.samples)
    place = str(folder.path)
    return {
        "name": folder.path.resolve().name,
        "config": config,
        "task": f"{_arrow(config.direction)} of {_data_name(config.data)}",
        "step": step,
        "total": total,
        "finished": total is not None and step >= total,
        "tiles": _tiles(step, total, last, config.record),
        "sheets": sheets,
        "wide": not sheets or sheets[-1].width > 0.85 * sheets[-1].height,
        "curves": _uri("png", folder.curves.read_bytes()) if folder.curves.is_file() else None,
        "facts": list(_facts(config)),
        "losses": loss_table(rows, config),
        "repeat": shlex.join(["p2ptk", "run", "--config", str(folder.config), "-o", f"{place}-2"]),
        "resume": shlex.join(["p2ptk", "resume", place]),
        "translate": shlex.join(["p2ptk", "translate", place, "PICTURES", "-o", "OUT"]),
        "environment": _environment(folder.path / "environment.json", config),
        "version": p2ptk.__version__,
        "written": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z").strip(),
    }


@dataclass(frozen=True)
class Sheet:
    """A sample sheet as it goes into the page."""

    step: int
    uri: str
    width: int
    height: int


def read_sheets(samples: Path) -> list[Sheet]:
    """At most SHEETS of the sample sheets, evenly chosen, as data URIs; the newest is last.

    One that can't be read is left out. Large ones become WebP; the newest keeps its size.
    """
    found = sorted((int(p.stem), p) for p in samples.glob("*.png") if p.stem.isdigit())
    if len(found) > SHEETS:
        found = [found[round(i * (len(found) - 1) / (SHEETS - 1))] for i in range(SHEETS)]
    sheets = []
    for step, path in found:
        try:
            sheets.append(_sheet(step, path, newest=path == found[-1][1]))
        except (OSError, UnidentifiedImageError):
            continue
    return sheets


def _sheet(step: int, path: Path, newest: bool) -> Sheet:
    content = path.read_bytes()
    with Image.open(io.BytesIO(content)) as image:
        size, pixels = image.size, image.width * image.height
        if len(content) <= (NEWEST_BYTES if newest else EARLIER_BYTES):
            image.verify()
            return Sheet(step, _uri("png", content), *size)
        smaller = image.convert("RGB")
    if not newest and pixels > EARLIER_PIXELS:
        scale = math.sqrt(EARLIER_PIXELS / pixels)
        smaller = smaller.resize(
            (round(size[0] * scale), round(size[1] * scale)), Image.Resampling.LANCZOS
        )
    kind = "webp" if features.check("webp") else "jpeg"
    buffer = io.BytesIO()
    smaller.save(buffer, kind, quality=90 if newest else 85)
    return Sheet(step, _uri(kind, buffer.getvalue()), *size)


def _uri(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


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


def _total(config: RunConfig) -> int | None:
    """Steps of the whole run; None where it counts epochs of an unknown number of pairs."""
    pairs = config.record.get("pairs")
    if config.train.steps or not pairs:
        return config.train.steps
    return math.ceil((config.train.epochs or 1) * pairs / config.train.batch_size)


def _tiles(
    step: int, total: int | None, last: Mapping[str, Any], record: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """The numbers at the top: (what, how much)."""
    tiles = [("step" if total is None else f"of {total:,} steps", f"{step:,}")]
    if "epoch" in last:
        tiles.append(("epochs", f"{last['epoch']:.4g}"))
    if "pairs" in record:
        tiles.append(("training pairs", f"{record['pairs']:,}"))
    if "seconds" in last:
        tiles.append(("of training", clock(last["seconds"])))
    if "images_per_s" in last:
        tiles.append(("images/s", f"{last['images_per_s']:.3g}"))
    return tiles


def _facts(config: RunConfig) -> Iterable[tuple[str, list[tuple[str, str]]]]:
    """What was trained: a label, and (name, details) of each thing under it."""
    train, record = config.train, config.record
    yield "data", [_words(config.data)]
    yield "direction", [(_arrow(config.direction), "")]
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


def _arrow(direction: str) -> str:
    return direction.replace("to", " → ")


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]} × {size[1]}"


def _data_name(spec: Spec) -> str:
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


def _environment(path: Path, config: RunConfig) -> list[tuple[str, str]]:
    """What environment.json says, where it is there, and the providers of the components."""
    try:
        table = json.loads(path.read_text("utf-8"))
        nested = {**table.pop("packages", {}), **table.pop("providers", {})}
        command = [str(word) for word in table.pop("command", [])]
    except (OSError, ValueError, AttributeError, TypeError):
        table, nested, command = {}, {}, []
    if command:
        table["command"] = shlex.join([Path(command[0]).name, *command[1:]])
    flat = {**table, **nested, **config.providers}
    return [(str(name), str(value)) for name, value in flat.items() if value is not None]
