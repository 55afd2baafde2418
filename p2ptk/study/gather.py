"""Run folders that were not made as a study, read as one: grouped by design, scored alike."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p2ptk.config import RunConfig
from p2ptk.contracts import Dataset
from p2ptk.data import need_split
from p2ptk.errors import UserError
from p2ptk.layers import read_toml
from p2ptk.runfolder import RunFolder
from p2ptk.specs import Spec
from p2ptk.study.configs import budget_in_words
from p2ptk.study.differences import differences
from p2ptk.study.records import Evidence, Protocol, Result, Variant
from p2ptk.weights import ModelHeader, find_model, read_header

Progress = Callable[[int, int, str], None]
# What two runs of one design may differ in: the seed, and how and where they ran.
BESIDE = ("seed", "device", "workers", "cache", "output", "trackers", "metrics", "deterministic")
_NUMBERED = re.compile(r"[-_. ]*(seed|s)?[-_=. ]*\d+\Z", re.IGNORECASE)
_HASHED = re.compile(r"[0-9a-f]{12}\Z")


@dataclass(frozen=True)
class Run:
    """A run folder with weights. header: of them."""

    path: Path
    config: RunConfig
    header: ModelHeader

    @property
    def seen(self) -> int:
        """Training pairs that the weights have seen, repeats counted."""
        train = self.config.train
        return self.header.step * train.batch_size * train.d_steps


@dataclass(frozen=True)
class Design:
    """Runs that differ by their seeds alone. changed: (the baseline's value, its own) by key."""

    label: str
    runs: tuple[Run, ...]
    changed: dict[str, tuple[str, str]]


def read_run(path: Path) -> Run:
    """Raises UserError where there is no run, or none with weights yet."""
    folder = RunFolder(path)
    folder.need_run()
    config = RunConfig.of(read_toml(folder.config))
    return Run(path, config, read_header(find_model(path)))


def group(runs: Sequence[Run], baseline: Path | None = None) -> list[Design]:
    """Designs, the baseline's first: that of the run named, else of the first run.

    Raises UserError for a baseline that is none of the runs, and for two runs of one seed.
    """
    groups: list[list[Run]] = []
    for run in runs:
        same = (g for g in groups if not changes(g[0].config, run.config))
        found = next(same, None)
        if found is None:
            groups.append([run])
            continue
        for other in found:
            if other.config.seed == run.config.seed:
                raise UserError(
                    f"{other.path} and {run.path} are one design with one seed: give one of them."
                )
        found.append(run)
    if baseline is not None:
        place = baseline.resolve()
        chosen = [g for g in groups if any(run.path.resolve() == place for run in g)]
        if not chosen:
            raise UserError(f"the baseline {baseline} is none of the runs that are compared.")
        groups.sort(key=lambda g: g is not chosen[0])
    base = groups[0][0].config
    changed = [changes(base, g[0].config) for g in groups]
    names = [_folder_label([run.path for run in g]) for g in groups]
    said = [", ".join(f"{k}={new}" for k, (_, new) in c.items()) or "baseline" for c in changed]
    labels = names if all(names) and len(set(names)) == len(names) else said
    return [
        Design(label, tuple(sorted(g, key=lambda run: run.config.seed)), c)
        for label, g, c in zip(labels, groups, changed, strict=True)
    ]


def changes(one: RunConfig, other: RunConfig) -> dict[str, tuple[str, str]]:
    """In what two designs differ, by dotted key; the seed and how they ran do not count."""
    found = differences(one, other)
    return {k: v for k, v in found.items() if k.partition(".")[0] not in BESIDE}


def refuse_mixed(runs: Sequence[Run], allow_budget: bool = False) -> None:
    """Raises UserError that lists in what the runs' protocols differ from the first run's."""
    first, wrong = runs[0], []
    for run in runs[1:]:
        for what, mine, its in _protocol(first, run):
            wrong.append(f"{run.path} has {what} {its}, {first.path} has {mine}")
        if run.seen != first.seen and not allow_budget:
            wrong.append(
                f"{run.path} has seen {run.seen:,} pairs in {run.header.step:,} steps, "
                f"{first.path} {first.seen:,} in {first.header.step:,}; --allow-budget lets this "
                "pass"
            )
    if wrong:
        raise UserError("these runs do not share a protocol: " + "; ".join(wrong) + ".")


def _protocol(first: Run, run: Run) -> Iterable[tuple[str, str, str]]:
    """(what, the first's, the run's) where both differ."""
    pairs: list[tuple[str, Any, Any]] = [
        ("data", _placed(first.config.data), _placed(run.config.data)),
        ("direction", first.config.direction, run.config.direction),
        ("size", first.header.size, run.header.size),
        ("sources made by", first.header.derive or "none", run.header.derive or "none"),
    ]
    for what, mine, its in pairs:
        if mine != its:
            yield what, str(mine), str(its)
    if first.config.record.get("val") != run.config.record.get("val"):
        yield "validation pairs", "its own", "other ones"


def _placed(data: Spec) -> str:
    """The data's spec with its paths in full."""
    params = {
        k: str(Path(v).resolve()) if isinstance(v, str) and ("/" in v or Path(v).exists()) else v
        for k, v in data.params.items()
    }
    return str(Spec(data.name, params))


def _folder_label(paths: Sequence[Path]) -> str:
    """`unet` of `unet-0` and `unet-1`; nothing where names differ otherwise, or are hashes."""
    names = [path.resolve().name for path in paths]
    if any(_HASHED.match(name) for name in names):
        return ""
    if len(names) == 1:
        return names[0]
    bare = {_NUMBERED.sub("", name) for name in names}
    return bare.pop() if len(bare) == 1 else ""


def gather(
    designs: Sequence[Design],
    dataset: Dataset,
    data: str,
    split: str,
    metrics: Sequence[str | Spec] = (),
    *,
    device: str = "auto",
    on_progress: Progress | None = None,
) -> Evidence:
    """Score every run's newest weights on a split of pairs, and make a study's evidence of it.

    metrics: by default what `p2ptk evaluate` computes. The first value whose direction is known is
    the primary one. Raises UserError as `p2ptk.evaluate.score_model` does, and where no value has
    a direction.
    """
    from p2ptk.metrics.scoring import usual_metrics

    runs = [run for design in designs for run in design.runs]
    header = runs[0].header
    specs = list(metrics) or list(usual_metrics(header.target))
    total = len(runs) * len(need_split(dataset, split))
    results: list[Result] = []
    for design in designs:
        for run in design.runs:
            before = len(results) * (total // len(runs))

            def tell(done: int, _: int, name: str, before: int = before) -> None:
                if on_progress:
                    on_progress(before + done, total, name)

            results.append(_score(design.label, run, dataset, split, specs, device, tell))
    directions = [(k, v) for k, v in results[0].higher_is_better.items() if v is not None]
    if not directions:
        raise UserError("none of the metrics says whether higher is better: add one that does.")
    primary, higher = directions[0]
    trained = [_trained(run) for run in runs]
    return Evidence(
        name=_cut(", ".join(design.label for design in designs)),
        root=Path(),
        protocol=Protocol(
            metrics=tuple(map(str, specs)),
            primary=primary,
            higher_is_better=higher,
            select="last",
            split=split,
            data=data,
            size=header.size,
            budget=budget_in_words(trained),
        ),
        variants=_variants(designs),
        seeds=tuple(sorted({run.config.seed for run in runs})),
        results=tuple(results),
        repeat=shlex.join(
            ["p2ptk", "compare", *(str(run.path) for run in runs), "-d", data, "--split", split]
        ),
    )


def _cut(name: str, most: int = 80) -> str:
    return name if len(name) <= most else f"{name[: most - 3]}..."


def _trained(run: Run) -> RunConfig:
    """The config with the steps that its weights have had."""
    train = run.config.train.model_copy(update={"steps": run.header.step, "epochs": None})
    return run.config.model_copy(update={"train": train})


def _variants(designs: Sequence[Design]) -> tuple[Variant, ...]:
    """The designs with a level for everything in which any two of them differ."""
    base = {key: old for design in designs for key, (old, _) in design.changed.items()}

    def level(design: Design, key: str) -> str:
        if key in design.changed:
            return design.changed[key][1]
        # Another component has none of the parameters of the baseline's.
        parents = (key[:i] for i, letter in enumerate(key) if letter == ".")
        return "–" if any(parent in design.changed for parent in parents) else base[key]

    return tuple(
        Variant(
            design.label,
            {key: level(design, key) for key in base},
            {key: new for key, (_, new) in design.changed.items()},
            baseline=number == 0,
        )
        for number, design in enumerate(designs)
    )


def _score(
    label: str,
    run: Run,
    dataset: Dataset,
    split: str,
    metrics: Sequence[str | Spec],
    device: str,
    on_progress: Progress,
) -> Result:
    from p2ptk.evaluate import score_model
    from p2ptk.study.cost import cost_of
    from p2ptk.translate import Translator

    translator = Translator.load(run.path, device, "fp32")
    pairs = need_split(dataset, split)
    done = score_model(translator, dataset, pairs, metrics, on_progress=on_progress)
    left_out = [f"{spec} was left out: {error}" for spec, error in done.failed.items()]
    return Result(
        key=str(run.path),
        variant=label,
        seed=run.config.seed,
        status="done",
        reason=" ".join(left_out),
        folder=str(run.path),
        metrics=done.values,
        per_image={
            name: dict(zip(done.names, scores, strict=True))
            for name, scores in done.per_image.items()
        },
        higher_is_better={score.name: score.higher_is_better for score in done.scores},
        protocols={score.name: score.protocol for score in done.scores},
        cost=cost_of(run.path, run.config),
    )
