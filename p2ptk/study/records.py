"""What passes between the parts of a study: variants, jobs, and one result a job."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Status = Literal["done", "crashed", "diverged", "out of memory", "missing", "running"]


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
    """One run of a variant: what a launcher starts, in a process of its own.

    key: hash of the resolved config, the providers' versions and the seed. folder: where the run
    lives, `STUDY/runs/KEY`. command: its command line, so that a queue can start it as well.
    """

    key: str
    variant: str
    seed: int
    folder: Path
    command: tuple[str, ...]


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

    reason: one sentence where it did not end well. metrics: on the study's report split, by the
    names the metrics give. validation: the same on the validation split. per_image: those metrics
    that have a value for each image, by image name.
    """

    key: str
    variant: str
    seed: int
    status: Status
    reason: str = ""
    attempts: int = 1
    metrics: Mapping[str, float] = field(default_factory=dict)
    validation: Mapping[str, float] = field(default_factory=dict)
    per_image: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
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
