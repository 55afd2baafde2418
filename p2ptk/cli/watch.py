"""`p2ptk watch`: a run's curves and newest sample, in the terminal, as it goes on."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

    from p2ptk.report.terminal import Watched


@click.command(
    epilog="""
\b
Examples:
  p2ptk watch runs/facades
  p2ptk watch runs/facades --once > now.txt

Only reads, so that the run may be another machine's, in a folder that both see. q or Ctrl-C ends.
"""
)
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--once", is_flag=True, help="Print how things stand, and end.")
@click.option("--every", type=click.FloatRange(min=0.1), default=2.0, show_default=True,
              metavar="SECONDS", help="How often to look.")  # fmt: skip
@click.option("--no-picture", is_flag=True, help="Curves alone.")
def watch(run: Path, once: bool, every: float, no_picture: bool) -> None:
    """Show RUN's curves, validation metrics and newest sample while it trains."""
    from rich.console import Console

    from p2ptk.report.terminal import Watched, frame
    from p2ptk.runfolder import RunFolder

    folder = RunFolder(run)
    folder.need_run()
    console = Console(highlight=False)
    watched = Watched(folder)
    pictures = not no_picture and console.color_system is not None
    if once or not console.is_terminal:
        watched.update()
        console.print(frame(watched, console.width, max(24, console.height), pictures=pictures))
        if watched.sample and not pictures:
            click.echo(f"sample: {watched.sample}")
        return
    _follow(watched, console, every, pictures)


def _follow(watched: Watched, console: Console, every: float, pictures: bool) -> None:
    """Draw anew whenever something is new, the terminal has another size, or a minute is over."""
    from rich.live import Live

    from p2ptk.report.terminal import frame

    drawn: tuple[int, int, int] | None = None
    with (
        suppress(KeyboardInterrupt),
        _keys() as key,
        Live(console=console, screen=True, auto_refresh=False) as live,
    ):
        while key(every if drawn else 0.0) not in ("q", "Q", "\x03"):
            now = (console.width, console.height, int(time.time() // 60))
            if watched.update() or now != drawn:
                drawn = now
                shown = frame(watched, console.width, console.height - 1, pictures=pictures)
                live.update(shown, refresh=True)


@contextmanager
def _keys() -> Iterator[Callable[[float], str]]:
    """A function that waits so many seconds for a key, and gives it, or nothing."""
    if not sys.stdin.isatty():
        yield _sleep
        return
    try:
        import select
        import termios
        import tty
    except ImportError:
        yield _windows_key
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)

        def key(seconds: float) -> str:
            ready, _, _ = select.select([sys.stdin], [], [], seconds)
            return sys.stdin.read(1) if ready else ""

        yield key
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _sleep(seconds: float) -> str:
    time.sleep(seconds)
    return ""


def _windows_key(seconds: float) -> str:
    """As `_keys` gives it where there is no termios."""
    import msvcrt

    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if msvcrt.kbhit():  # type: ignore[attr-defined]
            return str(msvcrt.getwch())  # type: ignore[attr-defined]
        time.sleep(0.05)
    return ""
