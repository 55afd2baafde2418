"""From factors and their levels to variants: one at a time, as a grid, or as listed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from p2ptk.errors import UserError, did_you_mean
from p2ptk.layers import keyed
from p2ptk.study.file import Images, StudyFile
from p2ptk.study.levels import (
    Layers,
    Level,
    find_factors,
    flat,
    in_order,
    level_label,
    settings_layers,
)
from p2ptk.study.records import Variant

BASELINE = "baseline"


@dataclass(frozen=True)
class Planned:
    """A variant with the layers of its config, in their order."""

    variant: Variant
    layers: Layers = ()


def find_variants(file: StudyFile, problems: list[str]) -> list[Planned]:
    """Every variant of a study, the baseline first; what is wrong is added to `problems`."""
    factors = find_factors(file.factors, problems)
    baseline = _baseline_levels(file.baseline, factors, problems)
    excluded = _exclusions(file.exclude, factors, problems)
    rows = list(_rows(file, problems))
    flagged = [row for row in rows if row.variant.baseline]
    made: list[Planned] = []
    if file.mode == "list":
        if factors:
            problems.append("mode = 'list' takes no [factors]: drop them, or write another mode.")
        if not rows:
            problems.append("mode = 'list' needs variants: write [[variants]] with a label each.")
    elif file.mode == "grid":
        made = list(_grid(factors, baseline, excluded))
        if not factors:
            problems.append("mode = 'grid' needs [factors].")
        elif not any(each.variant.baseline for each in made):
            problems.append("the baseline is left out by [[exclude]]: name another `baseline`.")
    elif factors or not flagged:
        made = list(_one_at_a_time(factors, baseline, excluded))
    if len(flagged) + any(each.variant.baseline for each in made) > 1:
        problems.append("there is more than one baseline: leave `baseline = true` at one row.")
    found = made + rows
    if found and not any(each.variant.baseline for each in found):
        found = [_as_baseline(found[0]), *found[1:]]
    found.sort(key=lambda each: not each.variant.baseline)
    found += [
        Planned(Variant(row.label, {}, {}, external=row.images))
        for row in file.external
    ]  # fmt: skip
    labels = [each.variant.label for each in found]
    problems += [
        f"two variants are labelled {label!r}: give one another label."
        for label in dict.fromkeys(labels)
        if labels.count(label) > 1
    ]
    return found


def _baseline_levels(
    given: Mapping[str, Any], factors: Mapping[str, Sequence[Level]], problems: list[str]
) -> dict[str, Level]:
    """The baseline's level of each factor: the first, or the one that `baseline` names."""
    levels = {name: among[0] for name, among in factors.items()}
    for name, value in flat(given):
        level = _find_level(f"baseline.{name}", name, value, factors, problems)
        if level:
            levels[name] = level
    return levels


def _find_level(
    where: str,
    name: str,
    value: Any,
    factors: Mapping[str, Sequence[Level]],
    problems: list[str],
) -> Level | None:
    if name not in factors:
        problems.append(f"{where}: there is no factor {name!r}: {did_you_mean(name, factors)}")
        return None
    label = level_label(value)
    among = {level.label: level for level in factors[name]}
    if label not in among:
        problems.append(f"{where}: there is no level {label!r}: {did_you_mean(label, among)}")
    return among.get(label)


def _exclusions(
    rules: Sequence[Mapping[str, Any]],
    factors: Mapping[str, Sequence[Level]],
    problems: list[str],
) -> list[dict[str, Level]]:
    found = []
    for number, rule in enumerate(rules, 1):
        named = {
            name: _find_level(f"[[exclude]] {number}", name, value, factors, problems)
            for name, value in flat(rule)
        }
        if not named:
            problems.append(f"[[exclude]] {number} is empty, so it would leave out everything.")
        levels = {name: level for name, level in named.items() if level}
        if levels and len(levels) == len(named):
            found.append(levels)
    return found


def _one_at_a_time(
    factors: Mapping[str, Sequence[Level]],
    baseline: Mapping[str, Level],
    excluded: Sequence[Mapping[str, Level]],
) -> Iterator[Planned]:
    yield _combined(baseline, BASELINE, True)
    for name, levels in factors.items():
        for level in levels:
            chosen = {**baseline, name: level}
            if level != baseline[name] and not _is_excluded(chosen, excluded):
                yield _combined(chosen, level.shown, False)


def _grid(
    factors: Mapping[str, Sequence[Level]],
    baseline: Mapping[str, Level],
    excluded: Sequence[Mapping[str, Level]],
) -> Iterator[Planned]:
    if not factors:
        return
    for levels in itertools.product(*factors.values()):
        chosen = dict(zip(factors, levels, strict=True))
        if not _is_excluded(chosen, excluded):
            yield _combined(chosen, ", ".join(x.shown for x in levels), chosen == baseline)


def _is_excluded(chosen: Mapping[str, Level], rules: Sequence[Mapping[str, Level]]) -> bool:
    return any(all(chosen[name] == level for name, level in rule.items()) for rule in rules)


def _combined(chosen: Mapping[str, Level], label: str, baseline: bool) -> Planned:
    layers = in_order(tuple(layer for level in chosen.values() for layer in level.layers))
    levels = {name: level.label for name, level in chosen.items()}
    return Planned(Variant(label, levels, _union(layers), baseline), layers)


def _rows(file: StudyFile, problems: list[str]) -> Iterator[Planned]:
    """The variants that the file lists itself."""
    for number, row in enumerate(file.variants, 1):
        settings = dict(row)
        label, baseline = settings.pop("label", None), settings.pop("baseline", False)
        external = settings.pop("external", None)
        if not isinstance(label, str) or not label:
            problems.append(f"[[variants]] {number} needs a label.")
            continue
        if not isinstance(baseline, bool):
            problems.append(f"[[variants]] {label!r}: baseline is true or false.")
            continue
        if external is None:
            layers = in_order(settings_layers(settings))
            yield Planned(Variant(label, {}, _union(layers), baseline), layers)
            continue
        if set(external if isinstance(external, Mapping) else ()) != set(Images.model_fields):
            form = "external = {images = 'FOLDER-{seed}'}"
            problems.append(f"[[variants]] {label!r}: it is written {form}.")
        elif settings:
            problems.append(f"[[variants]] {label!r} is external, so {min(settings)!r} has no use.")
        else:
            images = str(external["images"])
            yield Planned(Variant(label, {}, {}, baseline, external=images))


def _as_baseline(planned: Planned) -> Planned:
    return replace(planned, variant=replace(planned.variant, baseline=True))


def _union(layers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Layers of settings as one table, to be shown."""
    table: dict[str, Any] = {}
    for layer in layers:
        table = _over(table, layer)
    return table


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        old = merged.get(name)
        if isinstance(old, list) and isinstance(value, Mapping):
            try:
                old = keyed(old)
            except UserError:  # said where the config is made
                old = None
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[name] = _over(old, value) if both else value  # type: ignore[arg-type]
    return merged
