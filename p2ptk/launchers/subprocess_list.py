"""The jobs' commands in a file, for a queue or a shell to run."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from p2ptk.files import explained, write_atomically


class SubprocessList:
    """Writes one shell line a job and runs nothing.

    Line n is what task n of a Slurm array runs; `xargs`, `parallel` or a shell do as well. Running
    the study again afterwards writes the commands of what is missing then.

    file: where the lines go; a file that is there is replaced.
    """

    hands_over = True

    def __init__(self, *, file: str = "commands.txt") -> None:
        self.file = file

    def launch(self, jobs: Sequence[Any]) -> Iterator[Any]:
        """No results: they stand in the jobs' folders later.

        Raises UserError where the file can't be written.
        """
        if jobs:
            path = Path(self.file).expanduser()
            with explained(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            lines = "".join(f"{shlex.join(job.command)}\n" for job in jobs)
            write_atomically(path, lines.encode())
        return iter(())
