"""The tables of a study as cells of text, before they become Markdown, LaTeX, HTML or a screen."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from p2ptk.bench.tables import GIB
from p2ptk.interrupts import clock
from p2ptk.study.records import Cost
from p2ptk.study.statistics import Difference, Summary
from p2ptk.study.tables import Row, Tables

NONE = "–"
ARROWS = {True: " ↑", False: " ↓", None: ""}


@dataclass(frozen=True)
class Grid:
    """A table of text. left: how many columns, from the first, are words and not numbers.

    strong: (row, column) of cells that stand out. note: a sentence below it.
    """

    key: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 1
    strong: frozenset[tuple[int, int]] = frozenset()
    note: str = ""


def grids(found: Tables) -> list[Grid]:
    """Every table that has rows: results, differences, per image, interactions, settings, ..."""
    made = [
        results(found),
        differences(found, found.metrics),
        per_image(found),
        interactions(found),
        levels(found),
        costs(found),
        failures(found),
    ]
    return [grid for grid in made if grid.rows]


def results(found: Tables, intervals: bool = True) -> Grid:
    """A row a variant. intervals: of every metric, else of the primary one alone."""
    digits = {name: decimals([row.metrics[name] for row in found.rows]) for name in found.metrics}
    rows, strong = [], set()
    for number, row in enumerate(found.rows):
        cells = [titled(row), f"{row.done}/{row.planned}"]
        for name in found.metrics:
            whole = intervals or name == found.metrics[0]
            cells.append(summary(row.metrics[name], digits[name], whole))
        cells += [row.rank or NONE, row.lost]
        if row.rank.partition("-")[0] == "1":
            strong.add((number, 2))
        rows.append(tuple(cells))
    heads = [name + ARROWS[found.better[name]] for name in found.metrics]
    columns = ["variant", "runs", *heads, "rank", "lost"]
    if not any(row.lost for row in found.rows):
        columns, rows = columns[:-1], [cells[:-1] for cells in rows]
    if len(strong) == len(found.rows):  # nothing stands out
        strong = set()
    return Grid(
        "results",
        f"Results on {found.evidence.protocol.split}",
        tuple(columns),
        tuple(rows),
        strong=frozenset(strong),
        note="Bold: no other variant is surely better (their intervals overlap)." if strong else "",
    )


def differences(found: Tables, metrics: Sequence[str]) -> Grid:
    """Each variant minus the baseline, metric by metric."""
    rows = []
    for name in metrics:
        all_of = [row.differences[name] for row in found.rows if row.differences]
        digits = decimals([d.summary for d in all_of])
        for row in found.rows:
            if row.differences:
                head = (titled(row), name + ARROWS[found.better[name]])
                rows.append((*head, *difference(row.differences[name], digits)))
    return Grid(
        "differences",
        f"Differences to {found.baseline.label}, paired by seed",
        ("variant", "metric", "pairs", "difference", "95 % interval", "p", "p Holm"),
        tuple(rows),
        left=2,
    )


def per_image(found: Tables) -> Grid:
    """Each variant minus the baseline over the images."""
    rows = []
    for each in found.images:
        digits = decimals_of([i.mean for i in found.images if i.metric == each.metric])
        rows.append(
            (
                each.label,
                each.metric + ARROWS[found.better[each.metric]],
                str(each.seeds),
                f"{each.images:,}",
                signed(each.mean, digits),
                interval(each.low, each.high, digits, sign=True),
                NONE if each.better is None else f"{each.better:.0%}",
            )
        )
    return Grid(
        "per-image",
        f"Differences to {found.baseline.label}, paired by image",
        ("variant", "metric", "seeds", "images", "difference", "95 % interval", "better on"),
        tuple(rows),
        left=2,
        note="Each image's scores are averaged over the seeds that both have; the intervals (BCa "
        "bootstrap over images) speak of other images, not of other seeds.",
    )


def interactions(found: Tables) -> Grid:
    """What two changes give beyond the sum of each alone, by the primary metric."""
    digits = decimals([i.effect.summary for i in found.interactions])
    rows = [(i.first, i.second, *difference(i.effect, digits)) for i in found.interactions]
    return Grid(
        "interactions",
        f"Interactions in {found.metrics[0]}",
        ("change", "and change", "pairs", "together, beyond the sum", "95 % interval", "p",
         "p Holm"),
        tuple(rows),
        left=2,
        note="0 where the effects of the two changes add up.",
    )  # fmt: skip


def levels(found: Tables) -> Grid:
    """What the variants are, where their labels alone do not say it."""
    factors = tuple(dict.fromkeys(f for row in found.rows for f in row.variant.levels))
    said = all(set(row.variant.levels.values()) <= {row.label} for row in found.rows)
    rows = [
        (row.label, *(row.variant.levels.get(factor, NONE) for factor in factors))
        for row in found.rows
    ]
    columns = ("variant", *factors)
    return Grid("levels", "What differs", columns, () if said else tuple(rows), len(columns))


def costs(found: Tables) -> Grid:
    """What each variant takes."""
    rows = [(titled(row), *cost(row.cost)) for row in found.rows if row.cost != Cost()]
    return Grid(
        "cost",
        "Cost",
        ("variant", "parameters", "MACs", "images/s", "peak memory", "time", "hardware"),
        tuple(rows),
        note="Parameters and MACs are the generator's, of one translation at the trained size; "
        "images/s, memory and time are those of training a run.",
    )


def failures(found: Tables) -> Grid:
    """Runs that crashed, diverged or did not fit, and why."""
    rows = [(row.label, reason) for row in found.rows for reason in row.reasons]
    return Grid("failures", "Runs that did not end well", ("variant", "reason"), tuple(rows), 2)


def titled(row: Row) -> str:
    """A variant's label, and what a reader of a table should know of it."""
    extra = ["baseline"] if row.variant.baseline and row.label != "baseline" else []
    extra += ["not trained here"] if row.variant.external is not None else []
    return f"{row.label} ({', '.join(extra)})" if extra else row.label


def summary(s: Summary, digits: int, whole: bool) -> str:
    """`0.512 ± 0.004 [0.508, 0.516]`, as much of it as there is."""
    if not s.n:
        return NONE
    words = minus(f"{s.mean:.{digits}f}")
    if s.sd is not None:
        words += f" ± {s.sd:.{digits}f}"
    inside = interval(s.low, s.high, digits)
    return f"{words} {inside}" if whole and inside != NONE else words


def difference(d: Difference, digits: int) -> tuple[str, ...]:
    """pairs, difference, interval, p, p Holm."""
    s = d.summary
    mean = signed(s.mean, digits) if s.n else NONE
    inside = interval(s.low, s.high, digits, sign=True)
    return str(s.n), mean, inside, probability(d.p), probability(d.adjusted)


def interval(low: float | None, high: float | None, digits: int, sign: bool = False) -> str:
    if low is None or high is None:
        return NONE
    words = [signed(x, digits) if sign else minus(f"{x:.{digits}f}") for x in (low, high)]
    return f"[{words[0]}, {words[1]}]"


def cost(c: Cost) -> tuple[str, ...]:
    """parameters, MACs, images/s, memory, time, hardware."""
    return (
        NONE if c.parameters is None else counted(c.parameters),
        NONE if c.macs is None else counted(c.macs),
        NONE if c.images_per_s is None else f"{c.images_per_s:.3g}",
        NONE if c.peak_memory is None else f"{c.peak_memory / GIB:.2f} GiB",
        NONE if c.seconds is None else clock(c.seconds),
        c.hardware or NONE,
    )


def counted(number: float) -> str:
    """54,414,531 as 54.4 M."""
    for size, unit in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:g}"


def probability(p: float | None) -> str:
    if p is None:
        return NONE
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def signed(value: float, digits: int) -> str:
    """With its sign, and no sign on what rounds to 0."""
    text = f"{value:+.{digits}f}"
    return minus(text if float(text) else text[1:])


def plain(value: float | None) -> str:
    """A value of a run in four digits."""
    return NONE if value is None else minus(f"{value:.4g}")


def minus(text: str) -> str:
    return text.replace("-", "−")


def decimals(summaries: Iterable[Summary]) -> int:
    """Decimals for a column: two digits of the usual standard deviation, else of the mean."""
    some = [s for s in summaries if s.n]
    spreads = [s.sd for s in some if s.sd]
    if spreads:
        return _clamped(1 - _exponent(median(spreads)))
    return decimals_of([s.mean for s in some])


def decimals_of(values: Iterable[float]) -> int:
    """Decimals that show three digits of the usual value."""
    sizes = [abs(value) for value in values if value and math.isfinite(value)]
    return _clamped(2 - _exponent(median(sizes))) if sizes else 4


def _exponent(value: float) -> int:
    return math.floor(math.log10(value))


def _clamped(digits: int) -> int:
    return max(1, min(digits, 6))
