"""`p2ptk study status`, `report` and `show`: look at a study, be it over or not."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

    from p2ptk.study.plan import Plan
    from p2ptk.study.records import Result


WIDE = 140  # columns, where nobody's terminal sets them


def _study_options(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option("--json", "as_json", is_flag=True, help="Print as JSON.")(command)
    command = click.option(
        "-o", "--output", type=click.Path(path_type=Path), help="Study folder, if not the usual."
    )(command)
    return command


@click.command(
    "status",
    epilog="""
\b
Examples:
  p2ptk study status losses.toml
  p2ptk study status studies/losses --json
""",
)
@click.argument("study", metavar="STUDY", type=click.Path(path_type=Path))
@_study_options
def study_status(study: Path, output: Path | None, as_json: bool) -> int:
    """Tell how far every run of STUDY is: a study file, or a study's folder.

    Exits with 0 where every run has a result, else with 3.
    """
    from p2ptk.study.plan import make_plan
    from p2ptk.study.run import ENDED, gather
    from p2ptk.study.status import count_in_words, run_rows

    plan = make_plan(study, output, check=False)
    results = gather(plan)
    rows = run_rows(plan, results)
    if as_json:
        click.echo(json.dumps({"folder": str(plan.folder), "runs": rows}))
    else:
        wide_console().print(_run_table(rows, plan.protocol.primary, with_label=True))
        click.echo(f"{count_in_words(results)}, in {plan.folder}")
    return 0 if all(result.status in ENDED for result in results) else 3


@click.command(
    "report",
    epilog="""
\b
Examples:
  p2ptk study report losses.toml
  p2ptk report studies/losses
""",
)
@click.argument("study", metavar="STUDY", type=click.Path(path_type=Path))
@_study_options
def study_report(study: Path, output: Path | None, as_json: bool) -> None:
    """Write STUDY's tables and page anew, be all runs there or not, and print the table."""
    write_study_report(study, output, as_json)


@click.command(
    "show",
    epilog="""
\b
Examples:
  p2ptk study show losses.toml
  p2ptk study show losses.toml L1
""",
)
@click.argument("study", metavar="STUDY", type=click.Path(path_type=Path))
@click.argument("variant", required=False)
@_study_options
def study_show(study: Path, variant: str | None, output: Path | None, as_json: bool) -> None:
    """Show a VARIANT of STUDY: what it changes, and its runs with their values and folders.

    Without VARIANT all of them are listed with what they change.
    """
    from p2ptk.study.plan import make_plan
    from p2ptk.study.run import gather
    from p2ptk.study.status import find_variant, run_rows, to_baseline

    plan = make_plan(study, output, check=False)
    shown = [find_variant(plan, variant)] if variant else list(plan.variants)
    rows = run_rows(plan, gather(plan))
    found: list[dict[str, Any]] = [
        {
            "variant": each.label,
            "baseline": each.baseline,
            "levels": dict(each.levels),
            "external": each.external,
            "differences": {k: list(pair) for k, pair in to_baseline(plan, each).items()},
            "runs": [row for row in rows if row["variant"] == each.label],
        }
        for each in shown
    ]
    if as_json:
        click.echo(json.dumps(found[0] if variant else found))
        return
    console = wide_console()
    for each in found:
        console.print(_headline(each), style="bold", highlight=False, markup=False)
        for key, (old, new) in each["differences"].items():
            console.print(f"  {key}: {old} -> {new}", highlight=False, markup=False)
        if variant:
            console.print(_run_table(each["runs"], plan.protocol.primary, with_label=False))
            for row in each["runs"]:
                if "folder" in row:
                    click.echo(f"  seed {row['seed']}: {row['folder']}")


def write_study_report(study: Path, output: Path | None, as_json: bool) -> None:
    """What `p2ptk study report` does; `p2ptk report` with a study's folder as well."""
    from p2ptk.study.plan import make_plan
    from p2ptk.study.run import gather

    plan = make_plan(study, output, check=False)
    paths = say_report(plan, gather(plan), quiet=as_json)
    if as_json:
        click.echo(json.dumps({"files": [str(path) for path in paths]}))


def say_report(plan: Plan, results: Sequence[Result], *, quiet: bool) -> list[Path]:
    """Write the report; unless quiet, print the table and where the report is."""
    from p2ptk.study.report import write
    from p2ptk.study.run import evidence

    found = evidence(plan, results)
    paths = write(found, plan.folder)
    if not quiet:
        from p2ptk.study.formats import terminal
        from p2ptk.study.tables import tables

        wide_console().print(terminal(tables(found)))
        click.echo(f"report: {paths[0]}")
    return paths


def wide_console() -> Console:
    """A console that does not fold tables into the 80 columns of a pipe."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=WIDE)


def _headline(found: dict[str, Any]) -> str:
    if found["external"] is not None:
        return f"{found['variant']} (pictures from {found['external']}, not trained here)"
    return f"{found['variant']}{' (the baseline)' if found['baseline'] else ''}"


def _run_table(rows: Sequence[dict[str, Any]], primary: str, *, with_label: bool) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    for name in (*(["variant"] if with_label else []), "seed", "status", "step", primary, "run"):
        table.add_column(name, justify="right" if name in ("seed", "step", primary) else "left")
    for row in rows:
        value = row["metrics"].get(primary)
        status = row["status"] + (f": {row['reason']}" if row["reason"] else "")
        step = f"{row['step']}/{row['steps']}" if "steps" in row else ""
        shown = "" if value is None else f"{value:.4g}"
        cells = [str(row["seed"]), status, step, shown, row["key"]]
        table.add_row(*map(Text, [row["variant"], *cells] if with_label else cells))
    return table
