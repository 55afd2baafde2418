"""A copy of the log in another place, as lines of JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from p2ptk.files import explained, write_atomically

if TYPE_CHECKING:
    from torch import Tensor


class JsonLines:
    """Appends a line `{"run": NAME, "step": N, ...}` for each line of the run's log.

    For a place that outlives the machine, such as a mounted bucket. The run's own metrics.jsonl is
    always written; this is a mirror. When a run is resumed, its lines from the first new step on
    are dropped first, so that no step stands there twice. Several runs may follow one another in a
    file, but must not write to it at once. Pictures are not written.

    path: the file; `{run}` in it becomes the run's name.
    Raises UserError where it can't be written.
    """

    def __init__(self, *, folder: Path, path: str) -> None:
        self.run = folder.resolve().name
        self.path = Path(path.replace("{run}", self.run))
        self._begun = False
        with explained(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.open("a").close()

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        if not self._begun:
            self._cut(step)
            self._begun = True
        row = {"run": self.run, "step": step, **values}
        shown = {k: None if _odd(v) else v for k, v in row.items()}
        with explained(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(shown, allow_nan=False) + "\n")

    def images(self, step: int, images: Mapping[str, Tensor]) -> None:
        """Lines of text have no place for pictures."""

    def close(self) -> None:
        """Every line is closed as it is written."""

    def _cut(self, first: int) -> None:
        """Drop this run's lines from a step on, and a line that was left half written."""
        lines = self.path.read_text("utf-8").splitlines()
        kept = [line for line in lines if not self._replaced(line, first)]
        if kept != lines:
            write_atomically(self.path, "".join(f"{line}\n" for line in kept).encode())

    def _replaced(self, line: str, first: int) -> bool:
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            return True
        return isinstance(row, dict) and row.get("run") == self.run and row.get("step", 0) >= first


def _odd(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
