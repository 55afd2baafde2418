"""`p2ptk study`: compare designs, each trained with several seeds."""

from __future__ import annotations

import click

from p2ptk.cli.subcommands import subcommands

COMMANDS = {
    "run": ("p2ptk.cli.study_run", "study_run", "Train and score what is missing, and report."),
    "status": ("p2ptk.cli.study_show", "study_status", "Tell how far every run is."),
    "report": ("p2ptk.cli.study_show", "study_report", "Write the tables and the page anew."),
    "show": ("p2ptk.cli.study_show", "study_show", "Show one variant: settings, runs, folders."),
}
HIDDEN = {"job": ("p2ptk.cli.study_job", "job_command", "")}


@click.group(
    cls=subcommands(COMMANDS, HIDDEN), epilog="Begin with: p2ptk study run STUDY.toml --dry-run"
)
def study() -> None:
    """Compare designs: every variant trained with the same seeds and pairs, scored alike."""
