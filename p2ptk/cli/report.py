"""`p2ptk report`: write a run's report page anew."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import click

INSTALL = 'pip install "p2ptk[report]"'


@click.command(
    epilog="""
\b
Example:
  p2ptk report runs/facades
"""
)
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
def report(run: Path) -> None:
    """Write RUN's curves.png and report.html anew, be the run over or not, and print the path.

    The page is one file with all pictures in it.
    """
    from p2ptk.errors import UserError
    from p2ptk.report.curves import draw_curves
    from p2ptk.report.page import write_report
    from p2ptk.runfolder import RunFolder

    folder = RunFolder(run)
    folder.need_run()
    if find_spec("jinja2") is None:
        raise UserError(f"the report page needs jinja2: {INSTALL}")
    if find_spec("matplotlib") is None:
        click.echo(f"the curves are left as they are, they need matplotlib: {INSTALL}", err=True)
    draw_curves(folder.read_log(), folder.curves)
    click.echo(write_report(folder))
