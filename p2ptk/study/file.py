"""The study file: its sections, and every mistake in their form, found at once.

What a level or a variant sets is looked at by `plan`, which knows the components.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator, Field, ValidationError

from p2ptk.config import Count, Section
from p2ptk.errors import UserError, did_you_mean
from p2ptk.files import is_there
from p2ptk.layers import read_toml
from p2ptk.schema import explain
from p2ptk.specs import Spec

FORMAT = 1
FILE = "study.toml"  # the copy in a study's folder
MOST_SEEDS = 10_000
_BUDGET = re.compile(r"([\d][\d,_]*)\s+(step|image|epoch)s?\Z")


class Budget(NamedTuple):
    """How long every variant trains: so many steps, images or epochs."""

    number: int
    unit: Literal["steps", "images", "epochs"]


def _budget(value: Any) -> Any:
    match = _BUDGET.match(value.strip()) if isinstance(value, str) else None
    count = int(re.sub("[,_]", "", match[1])) if match else 0
    if not match or not count:
        raise ValueError(f"reads '2000 steps', '40000 images' or '20 epochs', not {value!r}")
    return Budget(count, f"{match[2]}s")  # type: ignore[arg-type]


def _seeds(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise ValueError(f"is a count from 1 or a list of seeds, not {value}")
        if value > MOST_SEEDS:
            raise ValueError(f"is a count up to {MOST_SEEDS:,}, not {value}")
        return tuple(range(value))
    if isinstance(value, Sequence) and not isinstance(value, str):
        if not value:
            raise ValueError("is an empty list")
        if len(set(map(str, value))) < len(value):
            raise ValueError("lists a seed twice")
        return tuple(value)
    raise ValueError(f"is a count or a list of whole numbers, not {value!r}")


Failure = Literal["crashed", "diverged", "out of memory"]


class Judged(Section):
    """How the variants are judged, all in the same way."""

    metrics: tuple[Spec, ...] = ()
    primary: str | None = None
    higher_is_better: bool | None = None
    select: Literal["last", "best"] = "last"
    split: str = "test"


class Images(Section):
    """Pictures that another program made."""

    images: str


class ExternalRow(Images):
    label: str


class StudyFile(Section):
    """A study file as it was read; `base`, levels and variants are not looked into yet.

    seeds: counted out. retry: which failures are tried again, `retries` times. home: the folder
    that relative paths begin at, where it is not the file's own.
    """

    format: int = FORMAT
    name: str = ""
    mode: Literal["one-at-a-time", "grid", "list"] = "one-at-a-time"
    seeds: Annotated[tuple[Count, ...], BeforeValidator(_seeds)] = (0, 1, 2)
    budget: Annotated[Budget, BeforeValidator(_budget)] | None = None
    retries: Count = 0
    retry: tuple[Failure, ...] = ("crashed",)
    plugins: tuple[str, ...] = ()
    home: str | None = None
    baseline: dict[str, Any] = Field(default={})
    base: dict[str, Any] = Field(default={})
    factors: dict[str, Any] = Field(default={})
    exclude: tuple[dict[str, Any], ...] = ()
    variants: tuple[dict[str, Any], ...] = ()
    external: tuple[ExternalRow, ...] = ()
    evaluate: Judged = Judged()


@dataclass(frozen=True)
class Read:
    """A study file, and what is wrong with its form.

    written: paths that were made absolute, as the file writes them, so that what a run is called
        does not depend on where the study lies.
    """

    path: Path
    text: str
    file: StudyFile
    problems: tuple[str, ...] = ()
    written: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return Path(self.file.home) if self.file.home else self.path.resolve().parent

    @property
    def name(self) -> str:
        return self.file.name or self.path.stem

    def at(self, place: str) -> str:
        """A path of the file as an absolute one, if something is there: beside it, else in the
        working folder. Else as it is."""
        for base in (self.home, Path.cwd()):
            found = base / Path(place).expanduser()
            if is_there(found):
                absolute = os.path.normpath(found.absolute())
                self.written.setdefault(absolute, place)
                return absolute
        return place

    def copy(self) -> str:
        """The file's text for the study's folder, with its name and where its paths begin."""
        head = "" if self.file.home else f"home = {_quoted(str(self.home))}\n"
        head += "" if self.file.name else f"name = {_quoted(self.name)}\n"
        return head + self.text


def read_study(path: Path) -> Read:
    """A study file, or the copy in a study's folder.

    What is wrong with its form is listed in the result, and left at its default.
    Raises UserError where it is missing, no TOML, or of a newer format.
    """
    if path.is_dir():
        if not (path / FILE).is_file():
            raise UserError(f"{path} is no study's folder: it has no {FILE}.")
        path = path / FILE
    if not path.is_file():
        raise UserError(f"there is no study file {str(path)!r}.")
    table = read_toml(path)
    found = table.get("format", FORMAT)
    if isinstance(found, int) and found > FORMAT:
        raise UserError(
            f"{path} has format {found}, which a newer p2ptk wrote; this one reads {FORMAT}."
        )
    problems: list[str] = []
    while True:
        try:
            file = StudyFile.model_validate(table)
            break
        except ValidationError as error:
            problems += _sentences(error)
            wrong = {str(each["loc"][0]) for each in error.errors()}
            table = {name: value for name, value in table.items() if name not in wrong}
    return Read(path, path.read_text("utf-8"), file, tuple(problems))


def _sentences(error: ValidationError) -> list[str]:
    """Every complaint as a sentence, with the nearest key for one that is unknown."""
    found = []
    for each in error.errors(include_url=False):
        places = [str(part) for part in each["loc"] if not isinstance(part, int)]
        if each["type"] == "extra_forbidden":
            inside: dict[str, type[Section]] = {"evaluate": Judged, "external": ExternalRow}
            section = inside.get(places[0], StudyFile)
            where = f" in [{'.'.join(places[:-1])}]" if places[:-1] else ""
            near = did_you_mean(places[-1], section.model_fields, many=20)
            found.append(f"there is no key {places[-1]!r}{where}: {near}")
        else:
            one = ValidationError.from_exception_data(error.title, [_again(each)])
            found.append(explain(one))
    return found


def _again(error: Mapping[str, Any]) -> Any:
    """One of pydantic's error details in the form that makes an error anew."""
    return {key: error[key] for key in ("type", "loc", "input", "ctx") if key in error}


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
