"""`p2ptk report`: write the report page of a run, or of a study, anew."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from p2ptk.report.looks import Pixels

INSTALL = 'pip install "p2ptk[report]"'


@click.command(
    epilog="""
\b
Examples:
  p2ptk report runs/facades
  p2ptk evaluate runs/facades -d facades/ --split val && p2ptk report runs/facades
  p2ptk report studies/losses
"""
)
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--plugin", "files", metavar="FILE.py", multiple=True, help="Load a local plugin.")
def report(run: Path, files: tuple[str, ...]) -> None:
    """Write RUN's curves.png and report.html anew, be the run over or not, and print the path.

    A study's folder is reported as by `p2ptk study report`.

    The page is one file with all pictures in it. After `p2ptk evaluate` it holds the scores, and
    the pairs that came out best and worst.
    """
    from p2ptk.errors import UserError
    from p2ptk.plugins import configure
    from p2ptk.report.curves import draw_curves
    from p2ptk.report.page import write_report
    from p2ptk.runfolder import RunFolder

    if files:
        configure(files=files)
    folder = RunFolder(run)
    if (run / "study.toml").is_file():
        from p2ptk.cli.study_show import write_study_report

        write_study_report(run, None, as_json=False)
        return
    folder.need_run()
    if find_spec("jinja2") is None:
        raise UserError(f"the report page needs jinja2: {INSTALL}")
    if find_spec("matplotlib") is None:
        click.echo(f"the curves are left as they are, they need matplotlib: {INSTALL}", err=True)
    draw_curves(folder.read_log(), folder.curves)
    click.echo(write_report(folder, _evaluated_pictures(run)))


def _evaluated_pictures(run: Path) -> dict[str, tuple[Pixels, ...]]:
    """Pictures of the best and worst evaluated pairs; none, and why, where they can't be had."""
    from p2ptk.report.evaluations import ranked

    if ranked(run) is None:
        return {}
    from p2ptk.cli.options import open_data
    from p2ptk.errors import P2ptkError
    from p2ptk.report.translated import end_pictures, evaluated_data

    data = evaluated_data(run)
    if data is None:
        return {}
    try:
        return end_pictures(run, open_data(data, skip_bad=False))
    except P2ptkError as error:
        click.echo(
            f"best and worst pairs are named by score without new pictures: {error}", err=True
        )
        return {}
