"""Variants against their baseline: by seed, by image, and two changes at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from p2ptk.metrics.intervals import mean_interval
from p2ptk.study.records import Evidence, Result, Variant
from p2ptk.study.statistics import Difference, compare, holm, interaction

Values = Mapping[int, float]  # by seed


@dataclass(frozen=True)
class ImageRow:
    """A variant minus the baseline, image by image, each image's scores averaged over seeds.

    better: share of the images that came out better; None where no direction is known.
    """

    label: str
    metric: str
    seeds: int
    images: int
    mean: float
    low: float | None
    high: float | None
    better: float | None


@dataclass(frozen=True)
class Interaction:
    """What two changes give together beyond the sum of each alone, by the primary metric."""

    first: str
    second: str
    effect: Difference


def finite(value: float | None) -> float | None:
    """None in place of what JSON and tables can't hold."""
    return value if value is not None and math.isfinite(value) else None


def values_of(results: Sequence[Result], names: Iterable[str]) -> dict[str, dict[int, float]]:
    """By metric and seed; runs that did not end, and values that are not finite, have none."""
    ended = [r for r in results if r.status == "done"]
    return {
        name: {r.seed: r.metrics[name] for r in ended if finite(r.metrics.get(name)) is not None}
        for name in names
    }


def differences(
    variants: Sequence[Variant],
    values: Mapping[str, Mapping[str, Values]],
    baseline: Variant,
    names: Sequence[str],
) -> dict[str, dict[str, Difference]]:
    """By variant and metric; Holm's correction counts the contrasts of one metric."""
    found: dict[str, dict[str, Difference]] = {v.label: {} for v in variants if v != baseline}
    for name in names:
        each = {
            label: compare(values[label][name], values[baseline.label][name]) for label in found
        }
        adjusted = holm([d.p for d in each.values()])
        for (label, difference), p in zip(each.items(), adjusted, strict=True):
            found[label][name] = replace(difference, adjusted=p)
    return found


def image_rows(
    evidence: Evidence,
    baseline: Variant,
    names: Sequence[str],
    better: Mapping[str, bool | None],
) -> Iterable[ImageRow]:
    of = {v.label: {r.seed: r for r in evidence.of(v) if r.status == "done"} for v in
          evidence.variants}  # fmt: skip
    for name in names:
        for variant in evidence.variants:
            if variant == baseline:
                continue
            mine, theirs = of[variant.label], of[baseline.label]
            seeds = [s for s in mine if s in theirs
                     and name in mine[s].per_image and name in theirs[s].per_image]  # fmt: skip
            per_image = _paired_images(
                [(mine[s].per_image[name], theirs[s].per_image[name]) for s in seeds]
            )
            if not per_image:
                continue
            low, high = mean_interval(per_image) or (None, None)
            sign = {True: 1, False: -1, None: 0}[better[name]]
            share = sum(sign * d > 0 for d in per_image) / len(per_image) if sign else None
            mean = math.fsum(per_image) / len(per_image)
            yield ImageRow(variant.label, name, len(seeds), len(per_image), mean, low, high, share)


def _paired_images(pairs: Sequence[tuple[Mapping[str, float], Mapping[str, float]]]) -> list[float]:
    """Mean difference over the seeds for each image that all of them scored."""
    if not pairs:
        return []
    shared = set.intersection(*(set(a) & set(b) for a, b in pairs))
    means = (math.fsum(a[i] - b[i] for a, b in pairs) / len(pairs) for i in sorted(shared))
    return [mean for mean in means if math.isfinite(mean)]


def interactions(
    variants: Sequence[Variant],
    values: Mapping[str, Mapping[str, Values]],
    baseline: Variant,
    primary: str,
) -> tuple[Interaction, ...]:
    """Of every two changes of level that the study made alone and together."""
    by_levels = {_key(v.levels): v.label for v in variants if v.levels}
    found: list[tuple[str, str, Difference]] = []
    for variant in variants:
        changed = {f: x for f, x in variant.levels.items() if x != baseline.levels.get(f)}
        if len(changed) != 2:
            continue
        alone = [by_levels.get(_key({**baseline.levels, f: x})) for f, x in changed.items()]
        known = [label for label in alone if label is not None]
        if len(known) == 2:
            labels = (variant.label, *known, baseline.label)
            both, first, second, neither = (values[label][primary] for label in labels)
            words = [f"{factor}={level}" for factor, level in changed.items()]
            effect = interaction(both, first, second, neither)
            found.append((words[0], words[1], effect))
    adjusted = holm([effect.p for *_, effect in found])
    return tuple(
        Interaction(first, second, replace(effect, adjusted=p))
        for (first, second, effect), p in zip(found, adjusted, strict=True)
    )


def _key(levels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(levels.items()))
