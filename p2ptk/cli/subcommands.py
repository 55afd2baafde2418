"""Commands in groups, as `p2ptk data` and `p2ptk study`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

import click

from p2ptk.cli import common_options
from p2ptk.errors import did_you_mean

# Name -> (module, function, summary).
Table = Mapping[str, tuple[str, str, str]]


def subcommands(table: Table, hidden: Table | None = None) -> type[click.Group]:
    """A group that loads a command's module when it runs. hidden: those that help does not list."""
    every = {**table, **(hidden or {})}

    class Subcommands(click.Group):
        def list_commands(self, context: click.Context) -> list[str]:
            return list(table)

        def get_command(self, context: click.Context, name: str) -> click.Command | None:
            if name not in every:
                return None
            module, function, _ = every[name]
            command: click.Command = getattr(import_module(module), function)
            if not any(parameter.name == "verbose" for parameter in command.params):
                command.params += common_options()
            return command

        def resolve_command(
            self, context: click.Context, args: list[str]
        ) -> tuple[str | None, click.Command | None, list[str]]:
            if args and args[0] not in every and not args[0].startswith("-"):
                raise click.UsageError(
                    f"there is no command `p2ptk {self.name} {args[0]}`: "
                    f"{did_you_mean(args[0], table)}",
                    context,
                )
            return super().resolve_command(context, args)

        def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
            with formatter.section("Commands"):
                formatter.write_dl([(name, summary) for name, (*_, summary) in table.items()])

    return Subcommands
