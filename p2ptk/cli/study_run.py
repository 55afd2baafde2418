"""`p2ptk study run`, in short `p2ptk ablate`: run what a study misses, and report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from p2ptk.cli.options import ComponentSpec

if TYPE_CHECKING:
    from p2ptk.study.estimate import Estimate
    from p2ptk.study.plan import Plan
    from p2ptk.study.run import Ended

EXAMPLES = """
\b
Examples:
  p2ptk study run losses.toml --dry-run
  p2ptk study run losses.toml
  p2ptk study run losses.toml --jobs 4 -o studies/losses
  p2ptk study run losses.toml --launcher submitit:partition=gpu,minutes=240
  p2ptk study run losses.toml --launcher subprocess-list:file=commands.txt

Stop it at any time (Ctrl-C) and run it again: runs that are there stay, those that were stopped go
on, and a factor or seed that is new adds only its runs. A run that crashes or diverges is a row of
the table; `retries` in the file, or --again, tries it once more. Exit codes: 0 every run has its
result, 1 none of them ended well, 2 bad input, 3 stopped or handed to a queue, to go on.
"""


@click.command("run", epilog=EXAMPLES)
@click.argument("file", metavar="STUDY.toml", type=click.Path(path_type=Path))
@click.option(
    "--launcher",
    type=ComponentSpec("launcher"),
    default="local",
    show_default=True,
    help="Where the runs go.",
)
@click.option(
    "--jobs", type=click.IntRange(min=1), help="Runs at a time. [default: one a GPU, else one]"
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Study folder.")
@click.option("--again", is_flag=True, help="Try failed runs again, more often than the file says.")
@click.option("--dry-run", is_flag=True, help="List the runs, estimate the time; start nothing.")
@click.option("--plugin", "files", metavar="FILE.py", multiple=True, help="Load a local plugin.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def study_run(
    file: Path,
    launcher: str,
    jobs: int | None,
    output: Path | None,
    again: bool,
    dry_run: bool,
    files: tuple[str, ...],
    as_json: bool,
) -> int:
    """Train and score every variant of a study with every seed, and report.

    The whole file is checked first. The runs, tables and the page go to studies/NAME, or to -o.
    """
    from p2ptk.cli.study_show import say_report
    from p2ptk.observe import Lines
    from p2ptk.study.api import make_launcher
    from p2ptk.study.plan import make_plan
    from p2ptk.study.run import run_study

    entries = [str(Path(entry).resolve()) if "=" not in entry else entry for entry in files]
    plan = make_plan(file, output, plugins=entries)
    for note in plan.notes:
        click.echo(f"note: {note}", err=True)
    if dry_run:
        from p2ptk.study.estimate import estimate

        return _tell_estimate(plan, estimate(plan), as_json)
    chosen = make_launcher(launcher, jobs)
    ended = run_study(plan, chosen, Lines(), again=again)
    if as_json:
        click.echo(json.dumps(_outcome(plan, ended)))
    if ended.count("done"):
        say_report(plan, ended.results, quiet=as_json)
    return _exit_code(plan, ended, hands_over=getattr(chosen, "hands_over", False))


def _outcome(plan: Plan, ended: Ended) -> dict[str, Any]:
    from p2ptk.study.status import run_rows

    return {
        "folder": str(plan.folder),
        "reason": ended.reason,
        "open": ended.open,
        "runs": run_rows(plan, ended.results),
    }


def _exit_code(plan: Plan, ended: Ended, hands_over: bool) -> int:
    """Say what is left, if anything is; gives the exit code."""
    from p2ptk.study.status import count_in_words

    if ended.open or ended.reason:
        click.echo(f"{count_in_words(ended.results)}.", err=True)
        if hands_over and not ended.reason:
            click.echo("the launcher has the rest; see `p2ptk study status`", err=True)
        else:
            click.echo("go on with the same command", err=True)
        return 3
    return 0 if ended.count("done") else 1


def _tell_estimate(plan: Plan, found: Estimate, as_json: bool) -> int:
    if as_json:
        click.echo(json.dumps(_estimate_table(plan, found)))
        return 0
    from p2ptk.cli.study_show import wide_console
    from p2ptk.interrupts import clock

    wide_console().print(_estimate_rows(plan, found))

    protocol = plan.protocol
    click.echo(f"{found.runs} runs, {found.to_go} to go, in {plan.folder}")
    click.echo(f"budget: {protocol.budget}")
    better = "higher" if protocol.higher_is_better else "lower"
    click.echo(
        f"judged by {protocol.primary} ({better} is better) on {protocol.split}, "
        f"{protocol.select} weights"
    )
    if found.to_go:
        click.echo(
            f"time: about {clock(found.seconds)} of training, one run after the other; starting "
            "and scoring come on top"
        )
    if sentence := _reach(plan):
        click.echo(sentence)
    click.echo("dry run: nothing was written")
    return 0


def _estimate_rows(plan: Plan, found: Estimate) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from p2ptk.interrupts import clock
    from p2ptk.study.status import to_baseline

    table = Table(box=box.SIMPLE_HEAD)
    for name in ("variant", "runs", "to go", "a run", "memory", "differs from the baseline in"):
        table.add_column(name, justify="right" if name in ("runs", "to go", "a run") else "left")
    for variant, each in zip(plan.variants, found.variants, strict=True):
        changed = to_baseline(plan, variant)
        words = ", ".join(f"{key}: {b}" for key, (_, b) in changed.items())
        if variant.baseline:
            words = "(the baseline)"
        elif variant.external is not None:
            words = f"pictures from {variant.external}, not trained here"
        cells = [
            variant.label,
            str(each.runs),
            str(each.to_go),
            "" if each.seconds is None else clock(each.seconds),
            f"{each.peak_bytes / 2**30:.1f} GiB" if each.peak_bytes else "",
            each.problem or words,
        ]
        table.add_row(*map(Text, cells))
    return table


def _estimate_table(plan: Plan, found: Estimate) -> dict[str, Any]:
    from dataclasses import asdict

    from p2ptk.study.status import to_baseline

    changed = {v.label: to_baseline(plan, v) for v in plan.variants}
    return {
        "folder": str(plan.folder),
        "runs": found.runs,
        "to_go": found.to_go,
        "seconds": found.seconds,
        "protocol": asdict(plan.protocol),
        "variants": [
            {**asdict(each), "differences": changed[each.label]} for each in found.variants
        ],
    }


def _reach(plan: Plan) -> str:
    """What so few seeds can't show; nothing where scipy is missing."""
    try:
        from p2ptk.study.statistics import reach
    except ImportError:
        return ""
    contrasts = len(plan.variants) - 1
    return reach(len(plan.file.seeds), contrasts) if contrasts else ""


ablate = click.Command(
    "ablate",
    params=study_run.params,
    callback=study_run.callback,
    help=study_run.help,
    epilog=EXAMPLES.replace("p2ptk study run", "p2ptk ablate"),
)
