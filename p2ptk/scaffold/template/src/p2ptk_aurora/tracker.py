"""A tracker: mirrors what a run logs to another place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor


class AuroraTracker:
    """Appends to a CSV file in the run folder, a line `step,name,value` for each number.

    file: its name.
    """

    def __init__(
        self,
        *,
        folder: Path,  # the run's, given by p2ptk
        file: str = "aurora.csv",
    ) -> None:
        self.path = folder / file

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.writelines(f"{step},{name},{value:.6g}\n" for name, value in values.items())

    def images(self, step: int, images: Mapping[str, Tensor]) -> None:
        """Pictures, uint8 H W 3 by name. A table has no place for them."""

    def close(self) -> None:
        """Called once, at the end of the run. Nothing is left open here."""
