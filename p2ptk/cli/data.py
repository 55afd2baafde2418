"""`p2ptk data`: look at pairs before training on them, and put them in order."""

from __future__ import annotations

from collections.abc import Callable

import click

from p2ptk.cli.subcommands import subcommands

COMMANDS = {
    "inspect": (
        "p2ptk.cli.data_inspect",
        "data_inspect",
        "Look for what is wrong with pairs, and draw them.",
    ),
    "palette": ("p2ptk.cli.data_palette", "data_palette", "Find the colours of a side of labels."),
    "combine": (
        "p2ptk.cli.data_combine",
        "data_combine",
        "Make side-by-side images of two folders.",
    ),
    "split": ("p2ptk.cli.data_split", "data_split", "Divide pairs into train, val and test."),
    "fetch": ("p2ptk.cli.data_fetch", "data_fetch", "Download one of pix2pix's own sets."),
}


@click.group(cls=subcommands(COMMANDS), epilog="Begin with: p2ptk data inspect FOLDER -o look/")
def data() -> None:
    """Look at pairs before training on them, and put them in order."""


def counted(tell: Callable[[int, int, str], None] | None) -> Callable[[int, int], None] | None:
    """A progress bar for work that tells only how far it is."""
    return (lambda done, total: tell(done, total, "")) if tell else None
