"""`p2ptk demo`: the embedded pairs, from nothing to pictures in minutes."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(
    epilog="The pairs: satellite pictures (NASA Blue Marble) and relief maps (Natural Earth)."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Run folder.")
@click.option("--device", default=None, help="auto, cpu, cuda, cuda:1, mps")
@click.option("--steps", type=click.IntRange(min=1), help="Fewer or more updates.")
def demo(output: Path | None, device: str | None, steps: int | None) -> int:
    """Learn to paint satellite pictures from relief maps; minutes on two CPU cores."""
    from p2ptk.cli.live import observer_for, tell
    from p2ptk.config import RunConfig
    from p2ptk.files import free_name
    from p2ptk.layers import layers_of
    from p2ptk.run import start
    from p2ptk.runfolder import RunFolder

    given = {"device": device} if device else {}
    length = {"train": {"steps": steps}} if steps else {}
    config = RunConfig.of(*layers_of({}, "demo"), given, length)
    folder = RunFolder(output or free_name(Path("runs", "demo")))
    return tell(start(config, folder, observer_for(False)), as_json=False)
