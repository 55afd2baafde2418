"""What a run shows in a terminal, and how it ends in words."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from p2ptk.config import RunConfig
from p2ptk.interrupts import clock
from p2ptk.observe import Lines, Observer
from p2ptk.parallel.launch import (
    STOPPED,
    check_processes,
    exit_code,
    in_process,
    launch,
    leads,
)
from p2ptk.train import Outcome


class Live(Observer):
    """A progress bar with losses, speed and time left; notes scroll above it."""

    def __init__(self, console: Console) -> None:
        self.progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[losses]}"),
            TextColumn("[cyan]{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("[green]{task.fields[left]}"),
            console=console,
        )
        self.steps: TaskID | None = None
        self.files: TaskID | None = None
        self.progress.start()

    def _task(self, name: str, total: int, done: int = 0) -> TaskID:
        return self.progress.add_task(
            name, total=total, completed=done, losses="", rate="", left=""
        )

    def begin(self, step: int, total: int) -> None:
        self.steps = self._task("train", total, step)

    def decoding(self, done: int, total: int) -> None:
        if self.files is None:
            self.files = self._task("decode", total)
        self.progress.update(self.files, completed=done)
        if done >= total:
            self.progress.remove_task(self.files)
            self.files = None

    def stepped(self, step: int) -> None:
        if self.steps is not None:
            self.progress.update(self.steps, completed=step)

    def logged(self, step: int, values: Mapping[str, float], seconds_left: float) -> None:
        shown = [f"epoch {values['epoch']:.1f}"] if "epoch" in values else []
        shown += [f"{k[:1].upper()} {values[k]:.3f}" for k in ("g_loss", "d_loss") if k in values]
        if self.steps is not None:
            self.progress.update(
                self.steps,
                losses="  ".join(shown),
                rate=f"{values.get('images_per_s', 0):.1f} img/s",
                left=f"{clock(seconds_left)} left",
            )

    def note(self, text: str) -> None:
        self.progress.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def sampled(self, step: int, path: Path) -> None:
        self.note(f"samples: {path}")

    def end(self) -> None:
        self.progress.stop()


def observer_for(as_json: bool) -> Observer:
    """A live display where somebody looks, plain lines where not."""
    console = Console(stderr=True)
    return Live(console) if console.is_terminal and not as_json else Lines()


def tell(outcome: Outcome, as_json: bool) -> int:
    """Say how a run ended and what to do next, where this process leads; gives the exit code."""
    if not leads():
        return 0
    folder = outcome.folder
    if as_json:
        click.echo(
            json.dumps(
                {
                    "folder": str(folder),
                    "step": outcome.step,
                    "total": outcome.total,
                    "finished": outcome.finished,
                    "reason": outcome.reason,
                }
            )
        )
    elif outcome.finished:
        click.echo(f"done: {outcome.step} steps")
        click.echo(f"  pictures  {folder / 'samples'}")
        click.echo(f"  weights   {folder / 'generator.safetensors'}")
        if (folder / "report.html").exists():
            click.echo(f"  report    {folder / 'report.html'}")
        click.echo(f"next: p2ptk translate {folder} IMAGE... -o OUT")
    else:
        print(f"stopped at step {outcome.step} ({outcome.reason})", file=sys.stderr)
        print(f"go on with: p2ptk resume {folder}", file=sys.stderr)
    return exit_code(0 if outcome.finished else STOPPED)


def in_processes(gpus: int | None, config: RunConfig, folder: Path, more: list[str]) -> int | None:
    """Have the command line that is running done in several processes, and give its exit code.

    None where it is to be done here: without `--gpus`, and in these processes. more: arguments to
    add. Raises UserError for a number that does not suit.
    """
    if gpus is None or in_process():
        return None
    check_processes(config, gpus)
    if gpus == 1:
        return None
    arguments = [*click.get_current_context().find_root().obj["arguments"], *more]
    return launch(arguments, gpus, folder)


@contextmanager
def progress_bar(name: str, quiet: bool) -> Iterator[Callable[[int, int, str], None] | None]:
    """A bar over things that are done one after the other: told (done, total, what)."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(name, total=None)

        def tell(done: int, total: int, what: str) -> None:
            progress.update(task, completed=done, total=total)

        yield tell
