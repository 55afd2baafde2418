"""`p2ptk data fetch`: the sets that pix2pix's authors offer."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from p2ptk.dataprep.archives import ARCHIVES

EPILOG = """
\b
Sets:
{sets}

\b
Examples:
  p2ptk data fetch facades
  p2ptk data fetch maps -o data/maps --keep

A download that breaks off goes on where it was when the command is given again. The archive's size
and SHA-256 are recorded beside it, and must be the same when it is fetched anew. The sets are made
from other people's pictures: mind their terms.
"""
SETS = "\n".join(
    f"  {a.name:<16}{a.holds:<24}{a.size / 2**20:>6.0f} MiB" for a in ARCHIVES.values()
)


@click.command("fetch", epilog=EPILOG.format(sets=SETS))
@click.argument("name", type=click.Choice(list(ARCHIVES)), metavar="SET")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder; default: SET.")
@click.option("--url", help="Another address of the archive, a .tar.gz.")
@click.option("--keep", is_flag=True, help="Keep the archive beside the folder.")
def data_fetch(name: str, output: Path | None, url: str | None, keep: bool) -> None:
    """Download and unpack one of pix2pix's own sets."""
    from p2ptk.dataprep.fetch import fetch

    archive, out = ARCHIVES[name], output or Path(name)
    with _bars() as tell:
        done = fetch(archive, out, url=url, keep=keep, progress=tell)
    if not done.new:
        click.echo(
            f"{out} is there already, fetched from {done.record.url} on {done.record.fetched}"
        )
    counts = ", ".join(f"{split} {count}" for split, count in done.counts.items())
    click.echo(f"{out}: {counts}; {archive.holds}")
    click.echo(f"sha256 {done.record.sha256}, {done.record.bytes} bytes")
    place, run = shlex.quote(str(out)), shlex.quote(f"runs/{out.absolute().name}")
    click.echo(f"next: p2ptk run -d {place} {archive.options} -o {run}")


@contextmanager
def _bars() -> Iterator[Callable[[str, int, int | None], None] | None]:
    """A bar for the download and one for unpacking, where somebody looks."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        tasks: dict[str, object] = {}

        def tell(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done, total=total)  # type: ignore[arg-type]

        yield tell
