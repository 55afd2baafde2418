"""The tables of a study on a terminal, and as Markdown, LaTeX, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import p2ptk
from p2ptk.study.contrasts import finite
from p2ptk.study.layout import Grid, costs, differences, failures, grids, levels, results
from p2ptk.study.tables import Tables, records

if TYPE_CHECKING:
    from rich.console import RenderableType

FORMAT = 1
# TeX's special characters, and those of ours that need more than a plain font.
_TEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
    "<": r"$<$", ">": r"$>$", "|": r"$|$", '"': r"\textquotedbl{}",
    "±": r"$\pm$", "−": r"$-$", "×": r"$\times$", "↑": r"$\uparrow$", "↓": r"$\downarrow$",
    "→": r"$\rightarrow$", "–": "--", "Δ": r"$\Delta$",
}  # fmt: skip


def terminal(found: Tables, settings: bool = False) -> RenderableType:
    """The main tables for a screen: primary metric with interval and test, cost, failures.

    settings: also what the variants are, before the rest.
    """
    from rich.console import Group
    from rich.text import Text

    primary = found.metrics[:1]
    shown = [
        *([levels(found)] if settings else []),
        results(found, intervals=False),
        differences(found, primary),
        costs(found),
        failures(found),
    ]
    parts: list[RenderableType] = []
    for grid in shown:
        if grid.rows:
            parts += [_rich(grid), Text()]
    return Group(*parts, *(Text(note, style="dim") for note in found.notes))


def _rich(grid: Grid) -> RenderableType:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(grid.title), title_justify="left", title_style="bold",
                  box=SIMPLE_HEAD, pad_edge=False)  # fmt: skip
    for number, title in enumerate(grid.columns):
        words = number < grid.left or title in ("lost", "hardware")
        table.add_column(Text(title), justify="left" if words else "right",
                         no_wrap=not words, overflow="fold")  # fmt: skip
    for number, row in enumerate(grid.rows):
        table.add_row(
            *(
                Text(cell, style="bold" if (number, column) in grid.strong else "")
                for column, cell in enumerate(row)
            )
        )
    return table


def markdown(found: Tables) -> str:
    """Every table, and how to read it."""
    evidence = found.evidence
    parts = [f"# {_md(evidence.name)}\n"]
    for grid in grids(found):
        marks = [":--" if i < grid.left else "--:" for i in range(len(grid.columns))]
        lines = [f"## {_md(grid.title)}\n", _md_row(map(_md, grid.columns)), _md_row(marks)]
        for number, row in enumerate(grid.rows):
            cells = (
                f"**{_md(cell)}**" if (number, i) in grid.strong else _md(cell)
                for i, cell in enumerate(row)
            )
            lines.append(_md_row(cells))
        parts.append("\n".join(lines) + "\n")
        if grid.note:
            parts.append(f"{grid.note}\n")
    parts.append("## Notes\n")
    parts.append("\n".join(f"- {_md(note)}" for note in found.notes) + "\n")
    if evidence.repeat:
        parts.append(f"Repeat it:\n\n```sh\n{evidence.repeat}\n```\n")
    return "\n".join(parts)


def _md_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _md(text: str) -> str:
    return re.sub(r"([\\`*_|<>\[\]#])", r"\\\1", text).replace("\n", " ")


def latex(found: Tables) -> str:
    """Every table with booktabs' rules, to be \\input; captions say how to read it."""
    head = [
        f"% {found.evidence.name}: written by p2ptk {p2ptk.__version__}".replace("\n", " "),
        "% \\usepackage{booktabs}; wide tables want \\usepackage{graphicx} and \\resizebox.",
    ]
    parts = ["\n".join(head)]
    for grid in grids(found):
        notes = found.notes if grid.key == "results" else ()
        caption = " ".join([f"{grid.title}.", *([grid.note] if grid.note else []), *notes])
        columns = "l" * grid.left + "r" * (len(grid.columns) - grid.left)
        lines = [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{tex(caption)}}}",
            rf"\label{{tab:{grid.key}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            " & ".join(map(tex, grid.columns)) + r" \\",
            r"\midrule",
        ]
        for number, row in enumerate(grid.rows):
            cells = (
                rf"\textbf{{{tex(cell)}}}" if (number, i) in grid.strong else tex(cell)
                for i, cell in enumerate(row)
            )
            # Braced, since \\ takes a bracket at the head of the next line for its argument.
            lines.append(" & ".join(_unbracketed(cell) for cell in cells) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def tex(text: str) -> str:
    """Text that TeX prints as it is."""
    return "".join(_TEX.get(character, character) for character in text.replace("\n", " "))


def _unbracketed(cell: str) -> str:
    return f"{{{cell}}}" if cell.startswith(("[", "*")) else cell


def csv_text(found: Tables) -> str:
    """A row a variant, a column a number; numbers in full."""
    flat = records(found)
    text = io.StringIO()
    rows = csv.DictWriter(text, list(flat[0]), lineterminator="\n")
    rows.writeheader()
    rows.writerows(flat)
    return text.getvalue()


def json_text(found: Tables) -> str:
    """Everything: the tables, and the results that they were made from."""
    return json.dumps(table(found), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def table(found: Tables) -> dict[str, Any]:
    """The same in plain values."""
    evidence = found.evidence
    return {
        "format": FORMAT,
        "version": p2ptk.__version__,
        "name": evidence.name,
        "repeat": evidence.repeat,
        "protocol": asdict(evidence.protocol),
        "seeds": list(evidence.seeds),
        "baseline": found.baseline.label,
        "variants": records(found),
        "per_image": [asdict(row) for row in found.images],
        "interactions": [
            {
                "first": i.first,
                "second": i.second,
                "pairs": i.effect.summary.n,
                "effect": finite(i.effect.summary.mean),
                "low": i.effect.summary.low,
                "high": i.effect.summary.high,
                "p": i.effect.p,
                "p Holm": i.effect.adjusted,
            }
            for i in found.interactions
        ],
        "notes": list(found.notes),
        "results": [
            {
                "key": r.key,
                "variant": r.variant,
                "seed": r.seed,
                "status": r.status,
                "reason": r.reason,
                "attempts": r.attempts,
                "folder": r.folder,
                "metrics": {name: finite(value) for name, value in r.metrics.items()},
                "validation": {name: finite(value) for name, value in r.validation.items()},
                "protocols": dict(r.protocols),
                "cost": asdict(r.cost),
            }
            for r in evidence.results
        ],
    }
