"""`p2ptk resume`: go on with a run that was stopped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click


@click.command(
    epilog="""
\b
Examples:
  p2ptk resume runs/facades
  p2ptk resume runs/facades --steps 100000     (a longer run than it began as)
  p2ptk resume runs/facades --gpus 2           (whatever number it began with)
"""
)
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--epochs", type=click.IntRange(min=1), help="A new length of the whole run.")
@click.option("--steps", type=click.IntRange(min=1), help="A new length of the whole run.")
@click.option("--stop-at", type=click.IntRange(min=1), help="End early at this step, resumable.")
@click.option("--max-time", metavar="TIME", help="End after 3h50m, resumable.")
@click.option("--gpus", type=click.IntRange(min=1), help="Train in so many processes, a GPU each.")
@click.option("--plugin", "files", metavar="FILE.py", multiple=True, help="Load a local plugin.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def resume(
    folder: Path,
    epochs: int | None,
    steps: int | None,
    stop_at: int | None,
    max_time: str | None,
    gpus: int | None,
    files: Sequence[str],
    as_json: bool,
) -> int:
    """Go on with a run from its newest whole checkpoint, exactly as if it had not stopped."""
    from p2ptk.cli.live import in_processes, observer_for, tell
    from p2ptk.config import RunConfig
    from p2ptk.errors import UserError
    from p2ptk.interrupts import seconds
    from p2ptk.plugins import configure
    from p2ptk.run import resume as go_on
    from p2ptk.runfolder import RunFolder

    if epochs and steps:
        raise UserError("give --epochs or --steps, not both.")
    if files:
        configure(files=files)
    run = RunFolder(folder)
    if gpus:
        run.need_run()
        code = in_processes(gpus, RunConfig.read(run.config), folder, [])
        if code is not None:
            return code
    outcome = go_on(
        run,
        observer_for(as_json),
        epochs=epochs,
        steps=steps,
        stop_at=stop_at,
        max_seconds=seconds(max_time) if max_time else None,
    )
    return tell(outcome, as_json)
