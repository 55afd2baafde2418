"""Checks for trackers, launchers, recipes and commands."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from p2ptk.errors import P2ptkError
from p2ptk.study.records import Job, Result
from p2ptk.testing.common import check
from p2ptk.testing.outcomes import Failed, told
from p2ptk.testing.subject import Subject


@check("tracker")
def writes(subject: Subject) -> None:
    """It takes scalars and images of several steps, and closes."""
    import torch

    made = subject.build()
    picture = (torch.rand(16, 48, 3) * 255).to(torch.uint8)
    for step in (0, 1, 10):
        made.scalars(step, {"d_loss": 0.7, "g_loss": 1.0 / (step + 1)})
        made.images(step, {"samples": picture})
    made.close()


@check("tracker")
def goes_on(subject: Subject) -> None:
    """A resumed run opens it again on the same folder."""
    for first in (0, 5):
        made = subject.build()
        made.scalars(first, {"g_loss": 1.0})
        made.close()


@check("tracker")
def closes_twice(subject: Subject) -> None:
    """Closing it again, or without having been used, does no harm."""
    made = subject.build()
    made.close()
    try:
        made.close()
    except Exception as error:
        raise Failed(
            f"{subject.name}.close stops when called again ({told(error)}): let it do nothing then."
        ) from error


@dataclass(frozen=True)
class DoneAtOnce(Job):
    """A job that starts no process."""

    def __call__(self, environment: Mapping[str, str] | None = None) -> Result:
        return Result(self.key, self.variant, self.seed, "done")


@check("launcher")
def one_result_a_job(subject: Subject) -> None:
    """launch(jobs) gives the result of each job, and none without jobs or where it hands over."""
    made = subject.build()
    if list(made.launch([])):
        raise Failed(f"{subject.name}.launch gives results without jobs.")
    command = (sys.executable, "-c", "pass")
    runs = subject.folder / "study" / "runs"
    jobs = [DoneAtOnce(f"{n:012x}", "a", n, runs / f"{n:012x}", command) for n in range(3)]
    with contextlib.chdir(subject.folder):  # it may write what it was told to, in a file of its own
        found = made.launch(jobs)
        if not isinstance(found, Iterable):
            raise Failed(f"{subject.name}.launch gives {type(found).__name__}: give an iterator.")
        results = list(found)
    if getattr(made, "hands_over", False):
        if results:
            raise Failed(f"{subject.name} says that it hands_over, and gives results.")
        return
    if len(results) != len(jobs):
        raise Failed(f"{subject.name}.launch gives {len(results)} results of {len(jobs)} jobs.")
    seeds = sorted(getattr(result, "seed", -1) for result in results)
    if seeds != [job.seed for job in jobs]:
        raise Failed(f"{subject.name}.launch does not give what the jobs give: yield job().")


@check("recipe", essential=True)
def toml(subject: Subject) -> None:
    """Its target is a TOML file in a package."""
    import tomllib

    target = subject.component.target
    if not isinstance(target, str):
        raise Failed(f"{subject} has the target {target!r}: write 'package:path/file.toml'.")
    package, _, path = target.partition(":")
    try:
        text = resources.files(package).joinpath(path).read_text("utf-8")
    except (ImportError, OSError) as error:
        raise Failed(
            f"{subject} names {target!r}, which is not there ({told(error)}): put the file into "
            "the package, and see that its wheel has it."
        ) from error
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Failed(f"{subject}'s file {path} is no TOML: {told(error)}.") from error


@check("recipe")
def resolves(subject: Subject) -> str:
    """A run can begin from it: its options and components are valid."""
    from p2ptk.build import resolve_config
    from p2ptk.config import RunConfig
    from p2ptk.layers import layers_of

    assert subject.provided is not None
    try:
        config = resolve_config(RunConfig.of(*layers_of({}, subject.provided.qualified)))
        again = RunConfig.of(*layers_of(_read(config.toml()), None))
    except P2ptkError as error:
        raise Failed(f"{subject} is no valid config: {told(error)}.") from error
    if again != config:
        raise Failed(f"{subject} is another config once it is written and read.")
    judge = config.discriminator.name if config.discriminator else "no discriminator"
    return f"{config.generator.name} and {judge}."


@check("command", essential=True)
def is_click_command(subject: Subject) -> None:
    """Its target is a click command, of a name that p2ptk does not use itself."""
    import click

    from p2ptk.cli import COMMANDS

    if not isinstance(subject.target, click.Command):
        raise Failed(
            f"{subject} has a target of {type(subject.target).__name__}: decorate the function "
            "with @click.command()."
        )
    if subject.component.name in COMMANDS:
        raise Failed(f"{subject} has the name of one of p2ptk's own commands: give it another.")


@check("command")
def helps(subject: Subject) -> None:
    """Its --help works, and says what it does."""
    from click.testing import CliRunner

    done: Any = CliRunner().invoke(subject.target, ["--help"])
    if done.exit_code:
        why = told(done.exception) if done.exception else done.output.strip()
        raise Failed(f"{subject} --help ends with {done.exit_code}: {why}.")
    if not (subject.target.help or subject.target.short_help):
        raise Failed(f"{subject} has no help text: write a docstring.")


def _read(text: str) -> dict[str, Any]:
    import tomllib

    return tomllib.loads(text)
