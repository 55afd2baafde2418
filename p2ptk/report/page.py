"""The page of a run: one HTML file that holds its pictures and needs nothing else."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

import p2ptk
from p2ptk.config import RunConfig
from p2ptk.dataprep.alignment import compare
from p2ptk.files import write_atomically
from p2ptk.layers import read_toml
from p2ptk.report.evaluations import Extremes, extremes, read_evaluations
from p2ptk.report.facts import (
    arrow,
    cost,
    data_name,
    environment,
    facts,
    loss_table,
    tiles,
    total_steps,
)
from p2ptk.report.looks import Pixels, distance, look
from p2ptk.report.panels import panels
from p2ptk.report.samples import Samples, data_uri, packed, read_samples, unscaled
from p2ptk.report.signs import Seen, signs
from p2ptk.runfolder import RunFolder

CARD = 320  # pixels of a side of the best and the worst

Pictures = Mapping[str, tuple[Pixels, ...]]


def write_report(folder: RunFolder, pictures: Pictures | None = None) -> Path | None:
    """Write report.html from what the run folder holds, be the run over or not.

    pictures: (source, output, target), uint8 H W 3, by the names of evaluated pairs.
    Gives its path, or None without jinja2. Raises UserError where there is no run, or where its
    run.toml can't be read.
    """
    folder.need_run()
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError:
        return None
    template = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).from_string(_own("page.html.jinja"))
    page = template.render(
        contents(folder, pictures),
        style=_own("page.css"),
        script=_own("charts.js") + _own("samples.js") + _own("theme.js"),
    )
    write_atomically(folder.report, page.encode())
    return folder.report


def contents(folder: RunFolder, pictures: Pictures | None = None) -> dict[str, Any]:
    """What the page says, in plain values."""
    config = RunConfig.of(read_toml(folder.config))
    rows = folder.read_log()
    last = rows[-1] if rows else {}
    step, total = last.get("step", 0), total_steps(config)
    samples = read_samples(folder.samples, config)
    shown = packed(samples) if samples.frames else None
    curves = panels(rows)
    place = str(folder.path)
    return {
        "name": folder.path.resolve().name,
        "config": config,
        "task": f"{arrow(config.direction)} of {data_name(config.data)}",
        "step": step,
        "total": total,
        "finished": total is not None and step >= total,
        "tiles": tiles(step, total, last, config.record),
        "signs": signs(rows, config, what_is_seen(samples, config), place),
        "samples": shown,
        "panels": curves,
        "payload": _script_json({"samples": shown, "panels": curves}),
        "facts": [*facts(config), *cost(last, config)],
        "losses": loss_table(rows, config),
        "evaluations": read_evaluations(folder.path),
        "extremes": _cards(extremes(folder.path, samples, pictures)),
        "evaluate": shlex.join(["p2ptk", "evaluate", place, "-d", str(config.data)]),
        "repeat": shlex.join(["p2ptk", "run", "--config", str(folder.config), "-o", f"{place}-2"]),
        "resume": shlex.join(["p2ptk", "resume", place]),
        "translate": shlex.join(["p2ptk", "translate", place, "PICTURES", "-o", "OUT"]),
        "environment": environment(folder.path / "environment.json", config),
        "version": p2ptk.__version__,
        "written": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z").strip(),
    }


def what_is_seen(samples: Samples, config: RunConfig) -> Seen:
    """What the sheets show, for the signs of trouble."""
    plain = unscaled(samples, config)
    if plain is None:
        if not samples.paired:
            return Seen()
        plain = samples
    through = [(f.step, distance(f.outputs, plain.targets)) for f in plain.frames if f.step]
    agreed = [compare(a, b) for a, b in zip(plain.sources, plain.targets, strict=True)]
    return Seen(
        looks=look(plain.frames[-1].outputs, plain.targets),
        distances=through,
        shifted=sum(a is not None and a.shifted for a in agreed),
        pairs=len(agreed),
    )


def _cards(found: Extremes | None) -> dict[str, Any] | None:
    """The best and the worst for the template."""
    if found is None:
        return None
    return {
        "where": found.where,
        "groups": [
            (
                title,
                [
                    {
                        "name": judged.name,
                        "value": f"{judged.value:.4g}",
                        "pictures": [data_uri(x, CARD) for x in judged.pictures],
                    }
                    for judged in group
                ],
            )
            for title, group in (("best", found.best), ("worst", found.worst))
        ],
    }


def _script_json(value: Any) -> str:
    """JSON that can stand inside a script element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def _own(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")
