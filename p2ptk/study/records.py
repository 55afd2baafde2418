"""What passes between the parts of a study: variants, jobs, and one result a job."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

# `stopped` is what a launcher hands on for a job that was asked to stop; it is not kept.
Status = Literal["done", "crashed", "diverged", "out of memory", "missing", "running", "stopped"]


@dataclass(frozen=True)
class Variant:
    """One design of a study.

    label: what tables call it; unique. levels: the level of each factor, by name. settings: nested
    config keys over the base. baseline: the variant that others are compared with. external: a
    folder of pictures that another program made, `{seed}` in its name standing for the seed.
    """

    label: str
    levels: Mapping[str, str]
    settings: Mapping[str, Any]
    baseline: bool = False
    external: str | None = None


@dataclass(frozen=True)
class Job:
    """One run of a variant: what a launcher starts, by calling it, here or on another machine.

    key: hash of the resolved config, the providers' versions and the seed. folder: where the run
    lives, `STUDY/runs/KEY`. command: its command line, so that a queue can start it as well.
    """

    key: str
    variant: str
    seed: int
    folder: Path
    command: tuple[str, ...]

    def __call__(self, environment: Mapping[str, str] | None = None) -> Result:
        """Run the command in a process of its own, once, and say how it ended; it never raises for
        a run that fails.

        environment: variables that are set for it, over this process's own. What it prints goes to
        `STUDY/logs/KEY.log`. An interrupt asks it to stop, waits for its checkpoint, and goes on.
        """
        from p2ptk.study.job import run_job

        return run_job(self, environment)

    def stop(self) -> None:
        """Have a call in another thread of this process end soon, as `stopped`."""
        from p2ptk.study.job import stop_job

        stop_job(self)


@dataclass(frozen=True)
class Cost:
    """What a run took. macs: of one translation at the trained size; memory in bytes."""

    parameters: int | None = None
    macs: int | None = None
    images_per_s: float | None = None
    peak_memory: int | None = None
    seconds: float | None = None
    hardware: str = ""


@dataclass(frozen=True)
class Result:
    """How a job ended.

    reason: one sentence where it did not end well. folder: of its run, relative to the study's;
    empty where nothing was trained here. higher_is_better: by metric name, where the metric says.
    protocols: how each metric is defined, in a line. metrics: on the study's report split, by the
    names the metrics give. validation: the same on the validation split. per_image: those metrics
    that have a value for each image, by image name.
    """

    key: str
    variant: str
    seed: int
    status: Status
    reason: str = ""
    attempts: int = 1
    folder: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    validation: Mapping[str, float] = field(default_factory=dict)
    per_image: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    higher_is_better: Mapping[str, bool | None] = field(default_factory=dict)
    protocols: Mapping[str, str] = field(default_factory=dict)
    cost: Cost = field(default_factory=Cost)

    def line(self) -> str:
        """One line of results.jsonl."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def of(cls, line: str) -> Result:
        """Read `line()` back; keys that a newer release added are left out."""
        table = json.loads(line)
        known = {k: v for k, v in table.items() if k in cls.__dataclass_fields__}
        cost = {k: v for k, v in known.pop("cost", {}).items() if k in Cost.__dataclass_fields__}
        return cls(**known, cost=Cost(**cost))


@dataclass(frozen=True)
class Protocol:
    """What all variants of a study share: what they were given, and how they are judged.

    metrics: their specs. primary: the name of the value that decides. higher_is_better: for it.
    select: which weights of a run are judged: its last, or its best on the validation split.
    split: that the table reports. budget: "2,000 steps of 4 pairs = 8,000 images".
    """

    metrics: tuple[str, ...]
    primary: str
    higher_is_better: bool
    select: Literal["last", "best"]
    split: str
    data: str
    size: tuple[int, int]
    budget: str


@dataclass(frozen=True)
class Evidence:
    """Everything that a report is made from, of a study or of runs that were compared.

    root: the folder that the results' folders are relative to. variants: the baseline first.
    results: one a variant and seed; `missing` or `running` where there is none yet.
    repeat: the command that makes it again.
    """

    name: str
    root: Path
    protocol: Protocol
    variants: tuple[Variant, ...]
    seeds: tuple[int, ...]
    results: tuple[Result, ...]
    repeat: str = ""

    def of(self, variant: Variant) -> list[Result]:
        """A variant's results, in the order of the seeds."""
        order = {seed: i for i, seed in enumerate(self.seeds)}
        mine = [r for r in self.results if r.variant == variant.label]
        return sorted(mine, key=lambda r: order.get(r.seed, len(order)))


def read_results(path: Path) -> Iterator[Result]:
    """The results of a study, one a job: the last line of a job counts.

    A last line that was cut off, as by a full disk, is left out.
    """
    found: dict[str, Result] = {}
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    for number, line in enumerate(lines):
        try:
            result = Result.of(line)
        except (ValueError, TypeError):
            if number == len(lines) - 1:
                continue
            raise
        found[result.key] = result
    yield from found.values()
