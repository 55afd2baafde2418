"""The page of a study: one HTML file with its tables, figures and pictures, that needs no other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

import p2ptk
from p2ptk.interrupts import clock
from p2ptk.report.facts import flat_environment
from p2ptk.report.samples import data_uri
from p2ptk.study.courses import courses
from p2ptk.study.figures import colour_number, curves, forest, pareto
from p2ptk.study.layout import Grid, grids, plain
from p2ptk.study.records import Evidence
from p2ptk.study.sheet import Sheet, breakable
from p2ptk.study.tables import Tables

CELL = 256  # pixels of a side of a picture on the sheet
STYLES = (("p2ptk.report", "page.css"), ("p2ptk.study", "page.css"))
FIRST = ("results", "differences", "failures")  # tables above the figures


def page(found: Tables, sheet: Sheet | None, notes: Sequence[str] = ()) -> str | None:
    """The page's HTML; None without jinja2. notes: sentences about the sheet."""
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError:
        return None
    template = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).from_string(_own("p2ptk.study", "page.html.jinja"))
    return template.render(
        contents(found, sheet, notes),
        style="\n".join(_own(*place) for place in STYLES),
        script=_own("p2ptk.report", "theme.js"),
    )


def contents(found: Tables, sheet: Sheet | None, notes: Sequence[str]) -> dict[str, Any]:
    """What the page says, in plain values."""
    evidence = found.evidence
    every = grids(found)
    pictures, what, panels, trade = figures(found)
    done, planned = sum(r.done for r in found.rows), sum(r.planned for r in found.rows)
    return {
        "name": evidence.name,
        "protocol": evidence.protocol,
        "done": done,
        "planned": planned,
        "tiles": tiles(found),
        "first": [grid for grid in every if grid.key in FIRST],
        "more": [grid for grid in every if grid.key not in FIRST],
        "notes": [*found.notes, *notes],
        "forest": pictures,
        "forest_of": what,
        "curves": panels,
        "pareto": trade,
        "legend": [(row.label, colour_number(i)) for i, row in enumerate(found.rows)],
        "sheet": shown(sheet),
        "metrics": protocols(evidence),
        "each": each(found),
        "study": _text(evidence.root / "study.toml"),
        "repeat": evidence.repeat,
        "environment": environment(evidence),
        "version": p2ptk.__version__,
        "written": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z").strip(),
    }


def figures(found: Tables) -> tuple[str, str, list[tuple[str, str]], str]:
    """The forest plot, its metric, the learning curves and the Pareto plot; empty without any."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return "", "", [], ""
    lines = curves(found, courses(found.evidence))
    return forest(found), found.metrics[0], lines, pareto(found)


def tiles(found: Tables) -> list[tuple[str, str]]:
    """The numbers at the top: (what, how much)."""
    evidence = found.evidence
    done, planned = sum(r.done for r in found.rows), sum(r.planned for r in found.rows)
    spent = sum(r.cost.seconds or 0.0 for r in evidence.results)
    parts = [
        (f"of {planned} runs", str(done)),
        ("variants", str(len(found.rows))),
        ("seeds" if len(evidence.seeds) != 1 else "seed", str(len(evidence.seeds))),
    ]
    return [*parts, *([("of training", clock(spent))] if spent else [])]


def shown(sheet: Sheet | None) -> dict[str, Any] | None:
    """The sheet's pictures for the template."""
    if sheet is None:
        return None
    rows = [
        [None if pixels is None else data_uri(pixels, CELL) for pixels in row]
        for row in sheet.cells()
    ]
    return {
        "headings": [column.heading for column in sheet.columns],
        "pieces": [breakable(column.heading) for column in sheet.columns],
        "rows": list(zip(sheet.names, rows, strict=True)),
    }


def protocols(evidence: Evidence) -> list[tuple[str, str]]:
    """How each metric is defined."""
    found: dict[str, str] = {}
    for result in evidence.results:
        found |= result.protocols
    return list(found.items())


def each(found: Tables) -> Grid:
    """Every run's own values."""
    rows = [
        (
            r.variant,
            str(r.seed),
            r.status,
            *(plain(r.metrics.get(name)) for name in found.metrics),
            r.folder,
        )
        for variant in found.evidence.variants
        for r in found.evidence.of(variant)
    ]
    columns = ("variant", "seed", "status", *found.metrics, "folder")
    return Grid("runs", "Every run", columns, tuple(rows))


def environment(evidence: Evidence) -> list[tuple[str, str]]:
    """What the runs depended on; of what differs between them every value."""
    merged: dict[str, dict[str, None]] = {}
    for result in evidence.results:
        if result.folder:
            run = evidence.root / result.folder
            for name, value in flat_environment(run / "environment.json").items():
                if name != "command":
                    merged.setdefault(name, {})[value] = None
    return [(name, "; ".join(values)) for name, values in merged.items()]


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _own(package: str, name: str) -> str:
    return resources.files(package).joinpath(name).read_text("utf-8")
