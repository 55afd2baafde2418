"""The tables of docs/scale.md on what surrounds a step: memory, files, money, other plans."""

from __future__ import annotations

import math
from dataclasses import replace

from benchmarks.scaling.counts import Work, count, largest_networks
from benchmarks.scaling.question import (
    AVERAGE,
    GRADIENT,
    HALF,
    HD,
    MOMENTS,
    PIX2PIX,
    SMALL_CARD,
    WEIGHT,
    Question,
    Table,
    dollars_a_million,
    percent,
    rounded,
)
from benchmarks.scaling.simulate import Update, simulate
from benchmarks.scaling.tables import SPEEDS
from p2ptk.feed import MOST_WORKERS, SHARE

REFERENCE_PIXELS = 256 * 256  # of the pair that Cluster's `pair_bytes` and `decode` are of
RATE, BETA1 = 2e-4, 0.5  # the reference recipe's, at batch 1


def steps(q: Question) -> list[int]:
    """One GPU, a node, all of them."""
    return sorted({1, min(q.most, q.cluster.gpus_per_node), q.most})


def pixels(work: Work) -> float:
    height, width = work.setup.size
    return height * width / REFERENCE_PIXELS


def memory(q: Question) -> Table:
    """Weights, gradients, Adam's moments and the averaged copy: what FSDP would share out."""
    sizes = {(kind, name): size for kind, name, size in largest_networks()}
    pairs = [("unet", "patchgan"), ("unet-attention", "unet"), ("spade", "multiscale"),
             ("pix2pixhd", "multiscale")]  # fmt: skip
    rows = []
    for g, d in pairs:
        both = sizes["generator", g] + sizes["discriminator", d]
        held = both * (WEIGHT + GRADIENT + MOMENTS) + sizes["generator", g] * AVERAGE
        rows.append((
            f"`{g}`, `{d}`", rounded(both / 1e6), rounded(held / 1e9),
            percent(held / q.cluster.memory), percent(held / SMALL_CARD),
        ))  # fmt: skip
    head = ("networks", "million parameters", "GB", "of an H200", "of a card of 24 GB")
    return Table("memory", head, rows)


def activations(q: Question) -> Table:
    """What a pair adds, and how many pairs fit beside the networks."""
    rows = []
    for work in map(count, (PIX2PIX, HALF, HD)):
        held = work.parameters * (WEIGHT + GRADIENT + MOMENTS) + work.g.parameters * AVERAGE
        fit = [max(0, int((size - held) / work.kept)) for size in (q.cluster.memory, SMALL_CARD)]
        rows.append((work.setup.name, rounded(work.kept / 1e6), *map(rounded, fit)))
    head = ("networks", "MB a pair", "pairs on an H200", "on a card of 24 GB")
    return Table("activations", head, rows)


def inputs(q: Question) -> Table:
    """What files and cores have to give where pairs are decoded at every use."""
    rows = []
    for setup in (PIX2PIX, HD):
        work = count(setup)
        for gpus in steps(q):
            step = simulate(work, q.share, gpus, q.middle)
            images, nodes = step.images_per_s, q.middle.nodes(gpus)
            files = images * q.cluster.pair_bytes * pixels(work)
            cores = images * q.cluster.decode * pixels(work)
            rows.append((
                setup, str(gpus), rounded(images), rounded(files / nodes / 1e6),
                percent(files / nodes / q.cluster.store), rounded(cores / gpus),
            ))  # fmt: skip
    head = ("networks", "GPUs", "pairs/s", "MB/s to each node", "of the store", "cores a GPU")
    return Table("inputs", head, rows)


def resident(q: Question) -> Table:
    """What stays decoded on a GPU, and what as many workers as p2ptk starts for one decode."""
    rows = []
    for setup in (PIX2PIX, HD):
        work = count(setup)
        pair = 2 * 3 * work.setup.size[0] * work.setup.size[1]
        fits = SHARE * q.cluster.memory / pair
        decoded = MOST_WORKERS / (q.cluster.decode * pixels(work))
        rows.append((setup, rounded(pair / 1e3), rounded(fits), rounded(decoded)))
    head = ("networks", "kB a decoded pair", "pairs that stay on a GPU",
            f"pairs/s that {MOST_WORKERS} workers decode")  # fmt: skip
    return Table("resident", head, rows)


def checkpoints(q: Question) -> Table:
    """Weights and moments of both networks, the average, and beside it the model file."""
    rows = []
    for setup in (PIX2PIX, HD):
        work = count(setup)
        size = work.parameters * (WEIGHT + MOMENTS) + work.g.parameters * (AVERAGE + WEIGHT)
        seconds = size / q.cluster.disk
        share = seconds / (q.cluster.checkpoint_every + seconds)
        lost = q.cluster.checkpoint_every / 2 / 3600 * q.most
        rows.append((
            setup, rounded(size / 1e9), rounded(seconds), percent(share),
            rounded(seconds * q.most / 3600 * 24 * 3600 / q.cluster.checkpoint_every),
            rounded(lost),
        ))  # fmt: skip
    head = ("networks", "GB", "seconds", "of the time, any number of GPUs",
            f"GPU hours a day, {q.most} GPUs",
            f"GPU hours lost to a failure, mean, {q.most} GPUs")  # fmt: skip
    return Table("checkpoints", head, rows)


def instead(q: Question) -> Table:
    """The same GPUs, used otherwise, with the network in the middle."""
    cluster, n = q.middle, q.most
    node, work, half = min(n, cluster.gpus_per_node), count(PIX2PIX), count(HALF)
    plans: list[tuple[str, Update, int]] = []
    if q.batch % n == 0:
        plans += [(f"one run, batch {q.batch}", simulate(work, q.batch // n, n, cluster), 1)]
    plans += [
        (f"one run, batch {share * n:,}", simulate(work, share, n, cluster), 1)
        for share in (q.share, 4 * q.share)
    ]
    if n % node == 0 and q.batch % node == 0:
        shared = simulate(work, q.batch // node, node, cluster)
        plans += [(f"{n // node} runs of {node} GPUs, batch {q.batch}", shared, n // node)]
    plans += [
        (f"{n} runs of one GPU, batch {q.share}", simulate(work, q.share, 1, cluster), n),
        (f"{n} runs of one GPU, batch 1", simulate(work, 1, 1, cluster), n),
        (f"{n} runs of one GPU, batch 1, captured",
         simulate(work, 1, 1, replace(cluster, launch=0)), n),
        (f"{n} runs of one GPU, batch {q.share}, networks half as wide",
         simulate(half, q.share, 1, cluster), n),
    ]  # fmt: skip
    rows = [
        (
            what, rounded(step.images_per_s), rounded(step.images_per_s * runs),
            f"{dollars_a_million(step, cluster):.2f}",
        )
        for what, step, runs in plans
    ]  # fmt: skip
    head = (f"{n} GPUs as", "images/s of a run", "of all", "$ a million images")
    return Table("instead", head, rows)


def jobs(q: Question) -> Table:
    """Whole trainings of the reference networks, with the weak scaling's batch."""
    work, rows = count(PIX2PIX), []
    for what, pairs, passes in (
        ("50,000 pairs, 15 passes", 50_000, 15),
        ("1.2 million pairs, 6 passes", 1_200_000, 6),
        ("a billion pairs, once", 1_000_000_000, 1),
    ):
        for gpus in steps(q):
            step = simulate(work, q.share, gpus, q.middle)
            images = pairs * passes
            hours = images / step.images_per_s / 3600
            rows.append((
                what, str(gpus), rounded(images / (q.share * gpus)), _hours(hours),
                f"{hours * gpus * q.cluster.price:,.2f}",
                _bytes(pairs * q.cluster.pair_bytes),
                rounded(pairs * passes * q.cluster.decode / 3600),
            ))  # fmt: skip
    head = ("training", "GPUs", "updates", "time", "$", "files",
            "core hours to decode at every use")  # fmt: skip
    return Table("jobs", head, rows)


def rates(q: Question) -> Table:
    """What the two rules make of a learning rate that is known to work at batch 1."""
    rows = [
        (f"{batch:,}", rounded(RATE * math.sqrt(batch)), rounded(RATE * batch),
         f"{1 - batch * (1 - BETA1):g}")
        for batch in (1, 2, 4, 16, q.batch, q.share * q.most)
    ]  # fmt: skip
    head = ("global batch", "square root (Adam)", "linear (SGD)", "beta1 by the square-root rule")
    return Table("rates", head, rows)


def all_tables(q: Question) -> dict[str, Table]:
    makers = (*SPEEDS, memory, activations, inputs, resident, checkpoints, instead, jobs, rates)
    return {table.name: table for table in (make(q) for make in makers)}


def _hours(hours: float) -> str:
    if hours < 1 / 60:
        return f"{3600 * hours:.0f} s"
    if hours < 1:
        return f"{60 * hours:.0f} min"
    return f"{rounded(hours)} h" if hours < 48 else f"{rounded(hours / 24)} days"


def _bytes(size: float) -> str:
    for unit in ("MB", "GB", "TB"):
        size /= 1e6 if unit == "MB" else 1e3
        if size < 1000:
            break
    return f"{rounded(size)} {unit}"
