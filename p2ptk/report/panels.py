"""The curves of the page: what its script draws, as plain values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from p2ptk.report.curves import Values, read_columns, terms

POINTS = 600  # of a validation curve at most
PLAIN = {"real": 1, "fake": 2, "total": 0}  # colours by number; 0 is the ink's


def panels(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Generator, discriminator, learning rate, and one for each value of validation."""
    if len(rows) < 2:
        return []
    columns = read_columns(rows)
    steps = columns["step"]
    rates = {n.removeprefix("lr_").upper(): columns[n] for n in ("lr_g", "lr_d") if n in columns}
    if len(rates) == 2 and (rates["G"] == rates["D"]).all():
        rates = {"both networks": rates["G"]}
    groups = (
        ("generator", "loss terms with their weight in", terms(columns, "g"), True),
        ("discriminator", "its loss on real and fake", terms(columns, "d"), False),
        ("learning rate", "", rates, False),
    )
    found = [
        {
            "title": title,
            "note": note,
            "log": log,
            "smooth": title != "learning rate",
            "x": _plain(steps),
            "lines": _lines(lines),
        }
        for title, note, lines, log in groups
        if lines
    ]
    return found + validation(rows)


def validation(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A panel for each value that evaluations during the run logged at least twice."""
    names = dict.fromkeys(n for row in rows for n in row if n.startswith("val_"))
    found = []
    for number, name in enumerate(names):
        points = [(r["step"], r[name]) for r in rows if isinstance(r.get(name), int | float)]
        points = points[:: -(-len(points) // POINTS)] if points else []
        if len(points) < 2:
            continue
        bare = name.removeprefix("val_")
        found.append(
            {
                "title": bare,
                "note": "on the validation pairs",
                "log": False,
                "smooth": False,
                "x": [step for step, _ in points],
                "lines": [
                    {"name": bare, "y": [_short(v) for _, v in points], "colour": number % 6 + 1}
                ],
            }
        )
    return found


def _lines(lines: Mapping[str, Values]) -> list[dict[str, Any]]:
    spare = iter(range(1, 100))
    return [
        {
            "name": name,
            "y": _plain(values),
            "colour": PLAIN[name] if name in PLAIN else (next(spare) - 1) % 6 + 1,
        }
        for name, values in lines.items()
    ]


def _plain(values: Values) -> list[float | None]:
    return [_short(value) for value in values.tolist()]


def _short(value: float) -> float | None:
    """Five digits are more than a screen has; what is not finite is left out."""
    return float(f"{value:.5g}") if math.isfinite(value) else None
