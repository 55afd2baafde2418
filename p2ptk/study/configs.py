"""The configs of a study's variants: base, levels and budget, merged and resolved."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from p2ptk.build import resolve_config
from p2ptk.components import list_components
from p2ptk.config import RunConfig
from p2ptk.errors import P2ptkError, UserError, did_you_mean
from p2ptk.files import is_there
from p2ptk.layers import layers_of, read_toml
from p2ptk.plugins import configure, registry
from p2ptk.specs import Spec
from p2ptk.study.check import Facts, Judging
from p2ptk.study.file import Read, StudyFile
from p2ptk.study.keys import SECTIONS
from p2ptk.study.levels import find_factors, inner_parts, settings_layers
from p2ptk.study.variants import Planned

EVALUATIONS = 10  # in a run whose best weights are looked for
_PATHS = ("path", "root")  # parameters of datasets


@dataclass
class Drafts:
    """What is known so far, and what is wrong, by variant so that it is said once.

    plugins: entries of the local files that are loaded. configs: resolved, by variant's label.
    """

    problems: list[str]
    plugins: list[str] = field(default_factory=list)
    of_variants: dict[str, list[str]] = field(default_factory=dict)
    configs: dict[str, RunConfig] = field(default_factory=dict)

    def wrong(self, label: str, error: Exception) -> None:
        """Note what is wrong with a variant."""
        self.of_variants.setdefault(str(error), []).append(label)

    def sentences(self, variants: int) -> list[str]:
        """All that is wrong. variants: how many there are; what holds for all is said of none."""
        found = list(self.problems)
        for sentence, labels in self.of_variants.items():
            if len(labels) == variants:
                found.append(sentence)
            else:
                more = f" and {len(labels) - 2} more" if len(labels) > 2 else ""
                found.append(f"{', '.join(map(repr, labels[:2]))}{more}: {sentence}")
        return list(dict.fromkeys(found))


def base_layers(read: Read, drafts: Drafts) -> list[Mapping[str, Any]]:
    """Recipe, config file and [base], with local plugins loaded; each key's own mistake is said."""
    base = dict(read.file.base)
    recipe, config = base.pop("recipe", None), base.pop("config", None)
    try:
        table = read_toml(Path(read.at(str(config)))) if config else {}
        beside = Path(read.at(str(config))).parent if config else read.home
        drafts.plugins += [str(beside / file) for file in table.pop("plugins", [])]
        drafts.plugins += [_local(file, read) for file in read.file.plugins]
        if drafts.plugins:
            configure(files=drafts.plugins)
            registry()
        table = {k: v for k, v in table.items() if k not in ("providers", "record")}
        layers: list[Mapping[str, Any]] = list(layers_of(table, recipe))
        layers[-1] = _placed(layers[-1], read)
    except P2ptkError as error:
        drafts.problems.append(f"[base]: {error}")
        return []
    try:
        whole = [_placed(layer, read) for layer in settings_layers(base)]
        RunConfig.of(*layers, *whole)
        return [*layers, *whole]
    except P2ptkError as error:
        sound, wrong = _key_by_key(base, layers, read)
        drafts.problems += [f"[base]: {each}" for each in wrong or [str(error)]]
        return [*layers, *sound]


def _key_by_key(
    base: Mapping[str, Any], layers: Sequence[Mapping[str, Any]], read: Read
) -> tuple[list[Mapping[str, Any]], list[str]]:
    """The keys of [base] that are right by themselves, and what is wrong with the others."""
    single: list[tuple[str, Any]] = []
    for name, value in base.items():
        section = name in SECTIONS and isinstance(value, Mapping)
        single += [(f"{name}.{k}", v) for k, v in value.items()] if section else [(name, value)]
    sound: list[Mapping[str, Any]] = []
    wrong = []
    for name, value in single:
        try:
            own = [_placed(layer, read) for layer in settings_layers({name: value})]
            RunConfig.of(*layers, *own)
            sound += own
        except P2ptkError as error:
            wrong.append(str(error))
    return sound, wrong


def _local(entry: str, read: Read) -> str:
    """A local plugin's entry, `FILE.py` or `KIND=FILE.py:Class`, with its file's whole path."""
    kind, equals, rest = entry.rpartition("=")
    file, colon, name = rest.partition(".py:")
    path = read.at(f"{file}.py" if colon else rest)
    return f"{kind}{equals}{path}{':' if colon else ''}{name}"


def _placed(layer: Mapping[str, Any], read: Read) -> dict[str, Any]:
    """A layer with the paths of `data` and `init` made absolute, and a bare path made a spec."""
    placed = dict(layer)
    if isinstance(placed.get("init"), str):
        placed["init"] = read.at(placed["init"])
    data = placed.get("data")
    if isinstance(data, str):
        from p2ptk.cli.options import data_spec

        place = read.at(data)
        known = [found.name for found in list_components("dataset")]
        if ":" not in data and data not in known and not is_there(place):
            raise UserError(
                f"data: there is no folder {data!r}, beside the study file or in the folder that "
                f"the command was given in, and no such dataset: {did_you_mean(data, known)}"
            )
        data = data_spec(place)[0].table()
    if isinstance(data, Mapping):
        found = {k: read.at(v) for k, v in data.items() if k in _PATHS and isinstance(v, str)}
        placed["data"] = {**data, **found}
    return placed


def resolve_variant(
    planned: Planned, base: Sequence[Mapping[str, Any]], read: Read, drafts: Drafts
) -> None:
    """Merge and resolve a variant's config, with the first seed."""
    label, seed = planned.variant.label, {"seed": read.file.seeds[0]}
    try:
        own = [_placed(layer, read) for layer in planned.layers]
        config = RunConfig.of(*base, *own, seed)
        _refuse_absent_parts(base, own)
        if not config.train.batch_size:
            raise UserError("batch_size = 'auto' would differ from run to run: give a number.")
        if read.file.budget and any({"steps", "epochs"} & set(x.get("train", {})) for x in own):
            raise UserError(
                "it sets a length of its own, and `budget` gives all the same: drop one."
            )
        drafts.configs[label] = resolve_config(config)
    except P2ptkError as error:
        drafts.wrong(label, error)


def level_mistakes(
    factors: Mapping[str, Any], base: Sequence[Mapping[str, Any]], read: Read, drafts: Drafts
) -> None:
    """Of a study of which variants failed: what is wrong with each level by itself, where a
    variant's first mistake hid it."""
    for name, levels in find_factors(factors, []).items():
        for level in levels:
            try:
                own = [_placed(layer, read) for layer in level.layers]
                _refuse_absent_parts(base, own)
                resolve_config(RunConfig.of(*base, *own))
            except P2ptkError as error:
                if str(error) not in drafts.of_variants:
                    drafts.problems.append(f"factors.{name}: {error}")


def _refuse_absent_parts(
    base: Sequence[Mapping[str, Any]], own: Sequence[Mapping[str, Any]]
) -> None:
    """A parameter of a part that a variant does not have is a mistake, not a new part."""
    without = RunConfig.of(*base, *(layer for layer in own if not inner_parts(layer)))
    for layer in own:
        for kind, key, value in inner_parts(layer):
            if key not in getattr(without, kind):
                raise UserError(
                    f"it sets {kind}.{key}.{min(value, default='')}, and has no {key!r} among its "
                    f"{kind}: leave it out with [[exclude]], or list the part."
                )


def settle(file: StudyFile, drafts: Drafts, facts: Facts, judging: Judging | None) -> list[str]:
    """Give every config its length, and evaluations where the best weights are looked for."""
    notes: list[str] = []
    for label, config in drafts.configs.items():
        try:
            steps, note = _steps(file, config, facts)
        except P2ptkError as error:
            drafts.wrong(label, error)
            continue
        notes += [note] if note and note not in notes else []
        train = config.train.model_copy(update={"steps": steps, "epochs": None})
        update: dict[str, Any] = {"train": train}
        if file.evaluate.select == "best" and judging:
            every = config.output.evaluate_every or max(1, steps // EVALUATIONS)
            found = {"evaluate_every": every, "best": judging.primary}
            update["output"] = config.output.model_copy(update=found)
            update["metrics"] = {"primary": Spec.parse(judging.spec)}
        drafts.configs[label] = resolve_config(config.model_copy(update=update))
    lengths = {(c.train.steps, c.train.batch_size) for c in drafts.configs.values()}
    if len(lengths) > 1 and not file.budget:
        notes.append("the variants train for different numbers of steps or pairs: give a budget.")
    return notes


def _steps(file: StudyFile, config: RunConfig, facts: Facts) -> tuple[int, str]:
    """A config's updates under the budget, and a note where they are not just that many images."""
    from p2ptk.train import total_steps

    train = config.train
    seen = train.batch_size * train.d_steps
    if file.budget is None:
        pairs = 0 if train.steps else len(facts.data(config).train)
        return total_steps(config, pairs), ""
    count, unit = file.budget
    if unit == "steps":
        return count, ""
    if unit == "epochs":
        return math.ceil(count * len(facts.data(config).train) / seen), ""
    steps = math.ceil(count / seen)
    if count % seen:
        return steps, f"{count:,} images are no whole number of batches of {seen}: {steps:,} steps"
    return steps, ""


def budget_in_words(configs: Sequence[RunConfig]) -> str:
    """`2,000 steps of 4 pairs = 8,000 images`; ranges where the variants differ."""

    def span(numbers: Iterable[int]) -> str:
        known = sorted(set(numbers))
        return f"{known[0]:,}" if len(known) == 1 else f"{known[0]:,} to {known[-1]:,}"

    steps = span(c.train.steps or 0 for c in configs)
    batches = span(c.train.batch_size * c.train.d_steps for c in configs)
    images = span((c.train.steps or 0) * c.train.batch_size * c.train.d_steps for c in configs)
    pairs = "pair" if batches == "1" else "pairs"
    return f"{steps} steps of {batches} {pairs} = {images} images"
