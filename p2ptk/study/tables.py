"""What a study found, in numbers: the rows of its tables. `layout.py` puts them in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from p2ptk.errors import UserError
from p2ptk.study.contrasts import (
    ImageRow,
    Interaction,
    Values,
    differences,
    finite,
    image_rows,
    interactions,
    values_of,
)
from p2ptk.study.records import Cost, Evidence, Result, Variant
from p2ptk.study.statistics import RESAMPLES, Difference, Summary, ranks, reach, summarise

FEW = 6  # seeds below which a bootstrap interval is too narrow to lean on
INSTALL = 'pip install "p2ptk[study]"'


@dataclass(frozen=True)
class Row:
    """A variant. values, metrics, differences: by metric; the baseline has no differences.

    done, planned: runs that ended well, and all of them. rank: by the primary metric; empty without
    a value. cost: means over the runs, the memory their peak. lost: "diverged 2/6", or nothing.
    reasons: a sentence for each run that was lost, or that lacks a metric.
    """

    variant: Variant
    done: int
    planned: int
    values: Mapping[str, Values]
    metrics: Mapping[str, Summary]
    differences: Mapping[str, Difference]
    rank: str
    cost: Cost
    lost: str
    reasons: tuple[str, ...]

    @property
    def label(self) -> str:
        return self.variant.label


@dataclass(frozen=True)
class Tables:
    """Everything the report says in numbers. metrics: their names, the primary one first.

    better: whether higher is better, by metric. notes: sentences on how to read it.
    """

    evidence: Evidence
    metrics: tuple[str, ...]
    better: Mapping[str, bool | None]
    rows: tuple[Row, ...]
    images: tuple[ImageRow, ...]
    interactions: tuple[Interaction, ...]
    notes: tuple[str, ...]

    @property
    def baseline(self) -> Row:
        return next(row for row in self.rows if row.variant.baseline)


def tables(evidence: Evidence) -> Tables:
    """Compute every table of a study, however many of its runs are there.

    Raises UserError without scipy, which the intervals come from.
    """
    try:
        import scipy  # noqa: F401
    except ImportError:
        raise UserError(f"the tables of a study need scipy: {INSTALL}") from None
    evidence = _with_baseline(evidence)
    ended = [result for result in evidence.results if result.status == "done"]
    given = list(dict.fromkeys(name for r in ended for name in r.metrics))
    primary = _whole_name(evidence.protocol.primary, given)
    names = tuple(dict.fromkeys([primary, *given]))
    better: dict[str, bool | None] = dict.fromkeys(names)
    for result in ended:
        better |= {k: v for k, v in result.higher_is_better.items() if k in better}
    better[primary] = evidence.protocol.higher_is_better

    values = {v.label: values_of(evidence.of(v), names) for v in evidence.variants}
    baseline = next(v for v in evidence.variants if v.baseline)
    contrasts = differences(evidence.variants, values, baseline, names)
    summaries = {
        label: {name: summarise(list(by_seed.values())) for name, by_seed in found.items()}
        for label, found in values.items()
    }
    places = ranks({label: s[primary] for label, s in summaries.items()}, bool(better[primary]))
    rows = tuple(
        Row(
            variant=variant,
            done=sum(r.status == "done" for r in evidence.of(variant)),
            planned=len(evidence.of(variant)),
            values=values[variant.label],
            metrics=summaries[variant.label],
            differences=contrasts.get(variant.label, {}),
            rank=places.get(variant.label, ""),
            cost=mean_cost([r.cost for r in evidence.of(variant) if r.status == "done"]),
            lost=lost(evidence.of(variant)),
            reasons=tuple(_reasons(evidence.of(variant))),
        )
        for variant in evidence.variants
    )
    return Tables(
        evidence=evidence,
        metrics=names,
        better=better,
        rows=rows,
        images=tuple(image_rows(evidence, baseline, names, better)),
        interactions=interactions(evidence.variants, values, baseline, primary),
        notes=tuple(_notes(evidence, rows, primary)),
    )


def records(found: Tables) -> list[dict[str, Any]]:
    """A flat dict a variant, in plain values: for CSV, data frames and programs."""
    factors = dict.fromkeys(f for row in found.rows for f in row.variant.levels)
    flat = []
    for row in found.rows:
        cells: dict[str, Any] = {"variant": row.label, "baseline": row.variant.baseline}
        cells["external"] = row.variant.external is not None
        cells |= {factor: row.variant.levels.get(factor) for factor in factors}
        cells |= {"done": row.done, "planned": row.planned, "lost": row.lost, "rank": row.rank}
        for name in found.metrics:
            s, d = row.metrics[name], row.differences.get(name)
            cells |= {name: finite(s.mean), f"{name} sd": s.sd, f"{name} n": s.n}
            cells |= {f"{name} low": s.low, f"{name} high": s.high}
            cells[f"{name} difference"] = finite(d.summary.mean) if d else None
            cells[f"{name} difference low"] = d.summary.low if d else None
            cells[f"{name} difference high"] = d.summary.high if d else None
            cells[f"{name} pairs"] = d.summary.n if d else None
            cells[f"{name} p"] = d.p if d else None
            cells[f"{name} p Holm"] = d.adjusted if d else None
        cells |= {key: getattr(row.cost, key) for key in Cost.__dataclass_fields__}
        flat.append(cells)
    return flat


def lost(results: Sequence[Result]) -> str:
    """What became of the runs that did not end well: "diverged 2/6, missing 1/6"."""
    counts = Counter(r.status for r in results if r.status != "done")
    return ", ".join(f"{status} {n}/{len(results)}" for status, n in sorted(counts.items()))


def mean_cost(costs: Sequence[Cost]) -> Cost:
    """Of several runs of one design: means, the largest memory, all hardware."""

    def mean(name: str) -> float | None:
        known = [value for c in costs if (value := getattr(c, name)) is not None]
        return sum(known) / len(known) if known else None

    def whole(name: str) -> int | None:
        value = mean(name)
        return None if value is None else round(value)

    return Cost(
        parameters=whole("parameters"),
        macs=whole("macs"),
        images_per_s=mean("images_per_s"),
        peak_memory=max((c.peak_memory for c in costs if c.peak_memory), default=None),
        seconds=mean("seconds"),
        hardware=" + ".join(dict.fromkeys(c.hardware for c in costs if c.hardware)),
    )


def _whole_name(primary: str, names: Sequence[str]) -> str:
    """A metric's value by its name, or by the part of it before the protocol."""
    longer = (name for name in names if name.startswith(f"{primary}-"))
    return primary if primary in names else next(longer, primary)


def _with_baseline(evidence: Evidence) -> Evidence:
    """The same with one baseline that is the first: the declared one, else the first variant."""
    if not evidence.variants:
        raise UserError("there is no variant to report on.")
    chosen = next((v for v in evidence.variants if v.baseline), evidence.variants[0])
    others = tuple(replace(v, baseline=False) for v in evidence.variants if v is not chosen)
    return replace(evidence, variants=(replace(chosen, baseline=True), *others))


def _reasons(results: Sequence[Result]) -> Iterable[str]:
    for result in results:
        if result.status == "done" and result.reason:
            yield f"seed {result.seed}: {result.reason}"
        elif result.status not in ("done", "missing", "running"):
            tried = f", tried {result.attempts} times" if result.attempts > 1 else ""
            yield f"seed {result.seed} {result.status}{tried}: {result.reason or 'no reason given'}"


def _notes(evidence: Evidence, rows: Sequence[Row], primary: str) -> Iterable[str]:
    protocol = evidence.protocol
    weights = (
        "the last weights of each run"
        if protocol.select == "last"
        else "each run's best weights by the validation split"
    )
    yield (
        f"Scored are {weights}, on {protocol.split}; {protocol.budget}. The primary metric is "
        f"{primary} ({'higher' if protocol.higher_is_better else 'lower'} is better)."
    )
    contrasts = [row.differences[primary] for row in rows if row.differences]
    tested = [d for d in contrasts if d.p is not None]
    yield (
        "± is the standard deviation over seeds (n - 1), [ ] the 95 % interval of the mean (BCa "
        f"bootstrap over seeds, {RESAMPLES:,} resamples). Differences are paired by seed; p is the "
        "two-sided exact sign-flip test's"
        + (
            f", p Holm the same corrected for the {len(tested)} contrasts of a metric."
            if len(tested) > 1
            else "."
        )
    )
    if tested:
        sentence = reach(max(d.summary.n for d in tested), len(tested))
        if sentence:
            yield sentence
    summaries = [s for row in rows for s in row.metrics.values()]
    if any(s.method.startswith("range") for s in summaries):
        yield "Where nearly all values are equal BCa is not defined: there [ ] is their range."
    short = [f"{row.label} ({row.lost})" for row in rows if row.lost]
    if short:
        yield "Means are over the runs that ended; not all of them did: " + "; ".join(short) + "."
    outside = [row.label for row in rows if row.variant.external is not None]
    few = max((row.done for row in rows), default=0)
    if 1 < few < FEW:
        yield f"With fewer than {FEW} seeds bootstrap intervals come out too narrow: read them so."
    if outside:
        yield f"Not trained here, scored from pictures: {', '.join(outside)}."
