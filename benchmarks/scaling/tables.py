"""The tables of docs/scale.md on speed: what grows with the number of GPUs, and where it stops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

from benchmarks.scaling.cluster import ASSUMED, GIGABITS, Cluster
from benchmarks.scaling.counts import count
from benchmarks.scaling.question import (
    GRADIENT,
    HALF,
    HD,
    PIX2PIX,
    Question,
    Table,
    dollars_a_million,
    percent,
    rounded,
)
from benchmarks.scaling.simulate import floor_seconds, simulate


def counts(q: Question) -> Table:
    rows = []
    for work in map(count, (PIX2PIX, HALF, HD)):
        sent = work.parameters * GRADIENT
        large = max(work.g.buckets, key=lambda b: b.bytes)
        first = work.g.buckets[0]
        rows.append((
            work.setup.name,
            rounded(work.g.parameters / 1e6),
            rounded(work.d.parameters / 1e6),
            rounded(work.flops / 1e9),
            f"{rounded(sent / 1e6)} MB in {len(work.g.buckets) + len(work.d.buckets)}",
            f"{rounded(large.bytes / 1e6)} MB",
            percent(first.at / work.flops),
        ))  # fmt: skip
    head = ("networks", "G, million parameters", "D", "GFLOP a pair", "gradients, buckets",
            "largest bucket", "first bucket of G is whole at")  # fmt: skip
    return Table("counts", head, rows)


def floors(q: Question) -> Table:
    work, rows = count(PIX2PIX), []
    for batch in (1, 16):
        compute, weights = floor_seconds(work, batch, q.cluster)
        together = max(compute, weights) if batch == 1 else compute + weights
        graph = simulate(work, batch, 1, replace(q.cluster, launch=0))
        eager = simulate(work, batch, 1, q.cluster)
        rows.append((
            str(batch), rounded(1e3 * compute), rounded(1e3 * weights), rounded(batch / together),
            rounded(graph.images_per_s), rounded(eager.images_per_s),
        ))  # fmt: skip
    head = ("batch", "arithmetic, ms", "weights through memory, ms", "floor, images/s",
            "model, captured", "model, eager")  # fmt: skip
    return Table("floors", head, rows)


def growth(name: str, batch_of: Callable[[int], int], q: Question, *setups: str) -> Table:
    """Images/s by GPUs over each network; `batch_of`: pairs on each of N GPUs."""
    rows = []
    for setup in setups:
        work = count(setup)
        alone = simulate(work, batch_of(1), 1, q.middle).images_per_s
        for gpus in q.gpus:
            batch = batch_of(gpus)
            if batch < 1:  # it can't be shared equally
                continue
            speeds = [
                simulate(work, batch, gpus, q.joined(network)).images_per_s
                for network in q.networks
            ]
            here = simulate(work, batch, gpus, q.middle)
            rows.append((
                setup, str(gpus), str(batch), *map(rounded, speeds),
                percent(here.images_per_s / alone / gpus),
                f"{dollars_a_million(here, q.middle):.2f}",
            ))  # fmt: skip
    middle = f"{q.middle.network / GIGABITS:g}"
    head = (
        "networks", "GPUs", "pairs on each", *(f"{n:g} Gb/s" for n in q.networks),
        f"efficiency, {middle} Gb/s", "$ a million images",
    )  # fmt: skip
    return Table(name, head, rows)


def strong(q: Question) -> Table:
    return growth("strong", lambda n: 0 if q.batch % n else q.batch // n, q, PIX2PIX, HD)


def weak(q: Question) -> Table:
    return growth("weak", lambda gpus: q.share, q, PIX2PIX, HD)


def overlap(q: Question) -> Table:
    """What the simulation says beside the closed forms, and what synchronised norm adds."""
    rows = []
    for setup in (PIX2PIX, HD):
        for gpus in q.gpus[1:]:
            work = count(setup)
            step = simulate(work, q.share, gpus, q.middle)
            synced = simulate(work, q.share, gpus, q.middle, sync_norm=True)
            rows.append((
                setup, str(gpus), rounded(1e3 * step.sending), rounded(1e3 * step.waiting),
                rounded(step.without_overlap), rounded(step.images_per_s),
                rounded(step.without_sending), rounded(synced.images_per_s),
            ))  # fmt: skip
    head = ("networks", "GPUs", "all-reduce, ms", "waited for, ms", "images/s, none beside",
            "simulated", "were it free", "with --sync-norm")  # fmt: skip
    return Table("overlap", head, rows)


def where_it_stops(q: Question) -> Table:
    rows = []
    for setup in (PIX2PIX, HALF, HD):
        work = count(setup)
        for network in q.networks:
            cluster = q.joined(network)

            def share(batch: int, gpus: int, base: int, to: Cluster = cluster) -> float:
                one = simulate(work, base, 1, to).images_per_s  # noqa: B023
                return simulate(work, batch, gpus, to).images_per_s / one / gpus  # noqa: B023

            fits = [n for n in (1, *q.gpus) if q.batch % n == 0]
            half = [n for n in fits if share(q.batch // n, n, q.batch) >= 0.5]
            speeds = {n: simulate(work, q.batch // n, n, cluster).images_per_s for n in fits}
            batches = [b for b in (2**k for k in range(13)) if share(b, q.most, q.batch) >= 0.8]
            fastest = max(speeds, key=lambda n: speeds[n])
            rows.append((
                setup, f"{network:g}", str(max(half)), f"{fastest} ({rounded(speeds[fastest])})",
                f"{min(batches):,}" if batches else "over 4,096",
            ))  # fmt: skip
    head = ("networks", "Gb/s", f"batch {q.batch}: most GPUs at 50 % efficiency",
            f"batch {q.batch}: fastest (images/s)",
            f"{q.most} GPUs at 80 %: pairs on each, from")  # fmt: skip
    return Table("stops", head, rows)


def sensitivity(q: Question) -> Table:
    """How far the answers move with what is only assumed, for the reference networks."""
    work, base, rows = count(PIX2PIX), q.middle, []
    fits = max(n for n in (1, *q.gpus) if q.batch % n == 0 and n <= base.gpus_per_node)
    for name in ("utilisation", "launch", "nvlink", "network_share"):
        for factor in (0.5, 1.0, 2.0):
            if factor == 1.0 and name != "utilisation":
                continue
            value = getattr(base, name) * factor
            if name == "network_share" and value > 1:
                continue
            cluster = replace(base, **{name: value})
            steps = [
                simulate(work, q.share, 1, cluster),
                simulate(work, q.batch // fits, fits, cluster),
                simulate(work, q.share, q.most, cluster),
            ]
            what = "as assumed" if factor == 1.0 else f"`--{name.replace('_', '-')} {value:g}`"
            one = steps[0].images_per_s * q.most
            rows.append((
                what, *(rounded(step.images_per_s) for step in steps),
                percent(steps[2].images_per_s / one),
            ))  # fmt: skip
    head = ("with", f"one GPU, batch {q.share}", f"{fits} GPUs, batch {q.batch}",
            f"{q.most} GPUs, batch {q.share * q.most:,}", "efficiency of that")  # fmt: skip
    return Table("sensitivity", head, sorted(rows, key=lambda row: row[0] != "as assumed"))


def assumptions(q: Question) -> Table:
    rows = []
    for field in fields(Cluster):
        if field.name in ASSUMED:
            unit, why = ASSUMED[field.name]
            value = f"{getattr(q.cluster, field.name):g} {unit}".strip()
            rows.append((f"`--{field.name.replace('_', '-')}`", value, why))
    networks = ",".join(f"{n:g}" for n in q.networks)
    kinds = "of a node, assumption: eight ports of InfiniBand; one; Ethernet"
    rows.append(("`--network`", f"{networks} Gb/s", kinds))
    return Table("assumptions", ("option", "default", "why"), rows)


SPEEDS = (
    assumptions,
    counts,
    floors,
    strong,
    weak,
    overlap,
    where_it_stops,
    sensitivity,
)
