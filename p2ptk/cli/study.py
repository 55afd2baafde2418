"""`p2ptk study`: compare designs, each trained with several seeds."""

from __future__ import annotations

from importlib import import_module

import click

from p2ptk.cli import common_options
from p2ptk.errors import did_you_mean

# Name -> (module, function, summary).
COMMANDS = {
    "run": ("p2ptk.cli.study_run", "study_run", "Train and score what is missing, and report."),
    "status": ("p2ptk.cli.study_show", "study_status", "Tell how far every run is."),
    "report": ("p2ptk.cli.study_show", "study_report", "Write the tables and the page anew."),
    "show": ("p2ptk.cli.study_show", "study_show", "Show one variant: settings, runs, folders."),
}
HIDDEN = {"job": ("p2ptk.cli.study_job", "job_command", "")}


class StudyGroup(click.Group):
    """Loads a sub-command's module when it runs."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        found = COMMANDS.get(name) or HIDDEN.get(name)
        if found is None:
            return None
        command: click.Command = getattr(import_module(found[0]), found[1])
        if not any(parameter.name == "verbose" for parameter in command.params):
            command.params += common_options()
        return command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = {**COMMANDS, **HIDDEN}
        if args and args[0] not in known and not args[0].startswith("-"):
            near = did_you_mean(args[0], COMMANDS)
            raise click.UsageError(f"there is no command `p2ptk study {args[0]}`: {near}", context)
        return super().resolve_command(context, args)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (*_, summary) in COMMANDS.items()])


@click.group(cls=StudyGroup, epilog="Begin with: p2ptk study run STUDY.toml --dry-run")
def study() -> None:
    """Compare designs: every variant trained with the same seeds and pairs, scored alike."""
