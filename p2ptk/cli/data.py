"""`p2ptk data`: look at pairs before training on them, and put them in order."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import click

from p2ptk.cli import common_options
from p2ptk.errors import did_you_mean

# Name -> (module, summary); the function has the command's name with `_` after `data`.
COMMANDS = {
    "inspect": ("p2ptk.cli.data_inspect", "Look for what is wrong with pairs, and draw them."),
    "palette": ("p2ptk.cli.data_palette", "Find the colours of a side of labels."),
    "combine": ("p2ptk.cli.data_combine", "Make side-by-side images of two folders."),
    "split": ("p2ptk.cli.data_split", "Divide pairs into train, val and test."),
    "fetch": ("p2ptk.cli.data_fetch", "Download one of pix2pix's own sets."),
}


class DataGroup(click.Group):
    """Loads a sub-command's module when it runs."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(COMMANDS[name][0]), f"data_{name}")
        if not any(parameter.name == "verbose" for parameter in command.params):
            command.params += common_options()
        return command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = did_you_mean(args[0], COMMANDS)
            raise click.UsageError(f"there is no command `p2ptk data {args[0]}`: {near}", context)
        return super().resolve_command(context, args)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.group(cls=DataGroup, epilog="Begin with: p2ptk data inspect FOLDER -o look/")
def data() -> None:
    """Look at pairs before training on them, and put them in order."""


def counted(tell: Callable[[int, int, str], None] | None) -> Callable[[int, int], None] | None:
    """A progress bar for work that tells only how far it is."""
    return (lambda done, total: tell(done, total, "")) if tell else None
