"""`p2ptk study job`: one job of a study, as launchers start it."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("job", hidden=True)
@click.argument("file", metavar="STUDY/jobs/KEY.toml", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def job_command(file: Path, as_json: bool) -> int:
    """Do one job of a study, or what is left of it: train it, and score it.

    Launchers start it; a queue can as well. How it ended stands in STUDY/runs/KEY/result.json.
    Exits with 0 where it is done, 1 and 2 where it failed, 3 where it was stopped and can go on, 4
    where it diverged.
    """
    import traceback

    from p2ptk.cli.live import observer_for, tell
    from p2ptk.errors import P2ptkError
    from p2ptk.study.worker import stop_with_parent, work

    stop_with_parent()
    try:
        outcome = work(file, observer_for(as_json))
    except P2ptkError:
        raise
    except Exception:
        traceback.print_exc()  # into the job's log, where somebody looks for what went wrong
        raise
    return 0 if outcome is None else tell(outcome, as_json)
