"""From a study file to jobs: every variant's config, what it is called, and what is refused."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import tomli_w

from p2ptk.build import resolve_config
from p2ptk.config import RunConfig
from p2ptk.errors import P2ptkError, UserError
from p2ptk.files import explained, is_there, write_atomically
from p2ptk.manifest import data_name
from p2ptk.study.check import Facts, Judging, check_variant, find_judging
from p2ptk.study.configs import (
    Drafts,
    base_layers,
    budget_in_words,
    level_mistakes,
    resolve_variant,
    settle,
)
from p2ptk.study.file import FILE, Read, StudyFile, read_study
from p2ptk.study.keys import run_key
from p2ptk.study.records import Job, Protocol, Variant
from p2ptk.study.variants import Planned, find_variants


@dataclass(frozen=True)
class Task:
    """A job, and what its file says. table: `variant`, `seed`, `config`, `evaluate`, ..."""

    job: Job
    variant: Variant
    table: Mapping[str, Any]

    @property
    def file(self) -> Path:
        return self.job.folder.parents[1] / "jobs" / f"{self.job.key}.toml"


@dataclass(frozen=True)
class Plan:
    """A whole study, ready to be run or reported.

    folder: of the study. configs: by label of the variants that are trained here, resolved, with
    the first seed. tasks: by variant, then seed. notes: sentences a user should see.
    """

    name: str
    read: Read
    folder: Path
    variants: tuple[Variant, ...]
    configs: Mapping[str, RunConfig]
    tasks: tuple[Task, ...]
    protocol: Protocol
    notes: tuple[str, ...] = ()

    @property
    def file(self) -> StudyFile:
        return self.read.file

    @property
    def jobs(self) -> tuple[Job, ...]:
        return tuple(task.job for task in self.tasks)

    def write(self) -> None:
        """Write the study file's copy and every job's file; what is the same stays untouched."""
        texts = {self.folder / FILE: self.read.copy()}
        texts |= {task.file: tomli_w.dumps(task.table) for task in self.tasks}
        with explained(self.folder):
            (self.folder / "jobs").mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            if not path.is_file() or path.read_text("utf-8") != text:
                write_atomically(path, text.encode())


def make_plan(
    path: str | Path,
    folder: str | Path | None = None,
    *,
    check: bool = True,
    plugins: Sequence[str] = (),
) -> Plan:
    """The plan of a study file, or of a study's folder.

    folder: of the study; default `studies/STEM`. check: build every variant's networks and the
        metrics, and try whether they fit together; not needed to look at a study that ran.
    plugins: local files that are loaded, beside those that the study names.
    Raises UserError that lists everything that is wrong, a sentence each.
    """
    read = read_study(Path(path))
    if folder is None:
        folder = Path(path) if Path(path).is_dir() else Path("studies", Path(path).stem)
    folder = Path(folder).absolute()
    drafts = Drafts(list(read.problems), plugins=list(plugins))
    layers = base_layers(read, drafts)
    planned = find_variants(read.file, drafts.problems)
    ours = [each for each in planned if each.variant.external is None]
    for each in ours:
        resolve_variant(each, layers, read, drafts)
    if drafts.of_variants:
        level_mistakes(read.file.factors, layers, read, drafts)
    facts = Facts()
    if not drafts.configs:
        _judge_base(read, layers, facts, drafts)
        _refuse(read, drafts, len(ours))
    first = next(iter(drafts.configs.values()))
    ran = None if check else folder
    judging = find_judging(read.file.evaluate, first, facts, ran, drafts.problems)
    notes = settle(read.file, drafts, facts, judging)
    for label, config in drafts.configs.items() if check else ():
        try:
            check_variant(config, facts)
        except P2ptkError as error:
            drafts.wrong(label, error)
    _find_pictures(planned, read, drafts)
    variants = tuple(each.variant for each in planned)
    tasks = _tasks(variants, drafts, read, folder, judging) if judging else ()
    _refuse_twins(tasks, drafts)
    if drafts.problems or drafts.of_variants or judging is None:
        _refuse(read, drafts, len(ours))
    protocol = Protocol(
        metrics=tuple(judging.metrics),
        primary=judging.primary,
        higher_is_better=judging.higher_is_better,
        select=read.file.evaluate.select,
        split=read.file.evaluate.split,
        data=data_name(first.data),
        size=first.size,
        budget=budget_in_words(list(drafts.configs.values())),
    )
    configs, found = dict(drafts.configs), tuple(notes)
    return Plan(read.name, read, folder, variants, configs, tasks, protocol, found)


def _judge_base(
    read: Read, layers: Sequence[Mapping[str, Any]], facts: Facts, drafts: Drafts
) -> None:
    """Where no variant is right, say at least what is wrong with [evaluate] for [base] alone."""
    try:
        base = resolve_config(RunConfig.of(*layers))
    except P2ptkError:
        return
    find_judging(read.file.evaluate, base, facts, None, drafts.problems)


def _refuse(read: Read, drafts: Drafts, variants: int) -> NoReturn:
    found = drafts.sentences(variants) or ["it has no variants: write [factors] or [[variants]]."]
    if len(found) == 1:
        raise UserError(f"{read.path}: {found[0]}")
    raise UserError(f"{read.path}: {len(found)} things are wrong.\n- " + "\n- ".join(found))


def _find_pictures(planned: Sequence[Planned], read: Read, drafts: Drafts) -> None:
    """Say which folders of pictures that others made are missing."""
    for variant in (each.variant for each in planned):
        if variant.external is not None:
            places = [_images(variant.external, seed, read) for seed in read.file.seeds]
            folders = [Path(p).parent if "*" in Path(p).name else Path(p) for p in places]
            lost = list(dict.fromkeys(str(f) for f in folders if not is_there(f)))
            if lost:
                shown = ", ".join(map(repr, lost))
                drafts.problems.append(f"{variant.label!r}: there is no folder {shown}.")


def _images(pattern: str, seed: int, read: Read) -> str:
    """Where the pictures of a seed are. A `*` stands for the pairs' names, in the last part."""
    place = pattern.replace("{seed}", str(seed))
    if "*" in Path(place).name:
        return str(Path(read.at(str(Path(place).parent))) / Path(place).name)
    return read.at(place)


def _tasks(
    variants: Sequence[Variant], drafts: Drafts, read: Read, folder: Path, judging: Judging
) -> tuple[Task, ...]:
    file = read.file
    evaluate = {
        "metrics": list(judging.metrics),
        "primary": judging.primary,
        "higher_is_better": judging.higher_is_better,
        "split": file.evaluate.split,
        "select": file.evaluate.select,
    }
    first = next(iter(drafts.configs.values()))
    tasks = []
    for variant in variants:
        external = variant.external
        config = first if external is not None else drafts.configs.get(variant.label)
        if config is None:
            continue
        # Pictures without a seed in their path are the same ones for all of them.
        seeds = file.seeds if external is None or "{seed}" in external else file.seeds[:1]
        for seed in seeds:
            mine = config.model_copy(update={"seed": seed})
            images = "" if external is None else _images(external, seed, read)
            key = run_key(mine, images, read.written)
            table = {
                "format": 1,
                "variant": variant.label,
                "seed": seed,
                "retries": file.retries,
                **({"images": images} if images else {}),
                **({"plugins": drafts.plugins} if drafts.plugins else {}),
                "evaluate": evaluate,
                "config": mine.table(),
            }
            command = [sys.executable, "-m", "p2ptk", "study", "job"]
            command.append(str(folder / "jobs" / f"{key}.toml"))
            job = Job(key, variant.label, seed, folder / "runs" / key, tuple(command))
            tasks.append(Task(job, variant, table))
    return tuple(tasks)


def _refuse_twins(tasks: Sequence[Task], drafts: Drafts) -> None:
    """Two variants that come to the same run would be compared with themselves."""
    by_key: dict[str, list[str]] = {}
    for task in tasks:
        by_key.setdefault(task.job.key, []).append(task.variant.label)
    twins = {tuple(labels) for labels in by_key.values() if len(labels) > 1}
    for labels in sorted(twins):
        drafts.problems.append(
            f"{' and '.join(map(repr, labels))} are the same design: leave out all but one, in a "
            "grid with [[exclude]]."
        )
