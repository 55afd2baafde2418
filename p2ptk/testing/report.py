"""What `p2ptk check` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from p2ptk.testing.outcomes import NOT_MADE, Result

STYLES = {"passed": "green", "failed": "bold red", "warning": "yellow", "skipped": "dim"}
LOUD = ("failed", "warning")  # what is shown in any case


def as_plain(results: Sequence[Result]) -> dict[str, Any]:
    """The results as JSON holds them."""
    return {"passed": passed(results), "results": [asdict(result) for result in results]}


def passed(results: Sequence[Result]) -> bool:
    return not any(result.status == "failed" for result in results)


def summary(results: Sequence[Result]) -> str:
    """`2 components: 40 passed, 1 failed, 3 skipped.`"""
    components = len({(r.kind, r.component) for r in results if r.kind != "plugin"})
    counts = Counter(str(result.status) for result in results)
    words = [
        f"{counts[status]} {status}{'s' if status == 'warning' and counts[status] > 1 else ''}"
        for status in STYLES
        if counts[status]
    ]
    return f"{f'{components} components: ' if components > 1 else ''}{', '.join(words)}."


def show(results: Sequence[Result], *, everything: bool) -> None:
    """Print what became of each component. everything: checks that passed, too."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    for whose, rows in _by_component(results).items():
        counts = "" if everything else summary(rows).rstrip(".")
        console.print(Text.assemble((whose, "bold"), ("  " + counts, "dim")))
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for r in rows:
            if (r.status not in LOUD and not everything) or r.sentence.startswith(NOT_MADE):
                continue
            words = Text.assemble(r.check, (f": {r.sentence}" if r.sentence else "", "dim"))
            if r.status in LOUD:
                words = Text.assemble((r.check, "bold"), f": {r.sentence}")
            table.add_row(Text(f"  {r.status}", STYLES[r.status]), words)
        if table.row_count:
            console.print(table)
    style = "green" if passed(results) else "bold red"
    console.print(Text(f"\n{summary(results)}", style))


def _by_component(results: Sequence[Result]) -> dict[str, list[Result]]:
    found: dict[str, list[Result]] = {}
    for result in results:
        found.setdefault(f"{result.kind} {result.component}", []).append(result)
    return found
