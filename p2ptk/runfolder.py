"""A run's folder: where everything that a run writes has its place.

run.toml  environment.json  metrics.jsonl  samples/STEP.png  curves.png  report.html
generator.safetensors  best.safetensors  checkpoints/STEP/
"""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import p2ptk
from p2ptk.errors import UserError
from p2ptk.files import explained, remove_strays, write_atomically


class RunFolder:
    """Paths of a run, and its log."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config = self.path / "run.toml"
        self.metrics = self.path / "metrics.jsonl"
        self.samples = self.path / "samples"
        self.generator = self.path / "generator.safetensors"
        self.best = self.path / "best.safetensors"
        self.curves = self.path / "curves.png"
        self.report = self.path / "report.html"

    @property
    def holds_run(self) -> bool:
        return self.config.exists()

    def need_free(self) -> None:
        """Raises UserError where the folder already holds a run, or is a file."""
        if self.holds_run:
            raise UserError(
                f"{self.path} already holds a run: resume it with `p2ptk resume {self.path}`, "
                "or choose another folder with -o."
            )
        if self.path.exists() and not self.path.is_dir():
            raise UserError(f"{self.path} is a file; give a folder with -o.")

    def create(self) -> None:
        """Make the folder. Raises UserError as `need_free` does."""
        self.need_free()
        with explained(self.path):
            self.samples.mkdir(parents=True, exist_ok=True)

    def need_run(self) -> None:
        """Raises UserError where there is no run to go on with."""
        if not self.path.is_dir():
            raise UserError(f"there is no run folder {str(self.path)!r}.")
        if not self.holds_run:
            raise UserError(f"{self.path} holds no run: it has no run.toml.")

    def tidy(self) -> None:
        """Delete unfinished files that killed processes left. For who holds the folder's lock.

        The folder itself takes files of others, such as `p2ptk report`: those of living processes
        stay there for an hour.
        """
        remove_strays(self.path, older_than=3600)
        for part in (self.samples, self.path / "checkpoints", self.path / "plugins"):
            remove_strays(part)

    def log(self, values: Mapping[str, Any]) -> None:
        """Append one line to metrics.jsonl. NaN and infinities become null, as JSON wants."""
        shown = {k: None if _odd(v) else v for k, v in values.items()}
        with explained(self.metrics), self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(shown, allow_nan=False) + "\n")

    def log_length(self) -> int:
        """Bytes of metrics.jsonl that are safely on disk."""
        if not self.metrics.exists():
            return 0
        with self.metrics.open("rb+") as file:
            os.fsync(file.fileno())
            return file.seek(0, os.SEEK_END)

    def cut_log(self, length: int) -> None:
        """Drop what was logged after a checkpoint, so that a resumed run logs no step twice."""
        if self.metrics.exists() and self.metrics.stat().st_size > length:
            with self.metrics.open("rb+") as file:
                file.truncate(length)

    def read_log(self) -> list[dict[str, Any]]:
        """The logged lines; a half-written last one is left out."""
        if not self.metrics.exists():
            return []
        lines = self.metrics.read_text("utf-8").splitlines()
        return [row for line in lines if (row := _row(line)) is not None]

    def write_environment(
        self, device: str, providers: Mapping[str, str], processes: int = 1
    ) -> None:
        found = {**environment(device, providers), "processes": processes, "job": job()}
        write_atomically(self.path / "environment.json", json.dumps(found, indent=1).encode())


def _odd(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _row(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except json.JSONDecodeError:
        return None
    return row if isinstance(row, dict) else None


def environment(device: str, providers: Mapping[str, str]) -> dict[str, Any]:
    """What a run depended on: versions, device, plugin distributions, the code's revision."""
    return {
        "p2ptk": p2ptk.__version__,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "device": device,
        "packages": {
            name: metadata.version(name)
            for name in ("torch", "torchvision", "numpy", "pillow", "safetensors")
        },
        "providers": dict(providers),
        "revision": revision(Path(p2ptk.__file__).parent),
        "command": sys.argv,
    }


def revision(folder: Path) -> str | None:
    """The git commit of p2ptk's own code, with `-dirty` after it; None for an installed release."""
    if not (folder.parent / ".git").exists():
        return None
    try:
        found = subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None


def job() -> str | None:
    """What tells the job that started this process, so that its restart knows its own run folder:
    torchrun's id of it, or where that is left open its agent's process. None without torchrun.
    """
    found = os.environ.get("TORCHELASTIC_RUN_ID")
    if found is None:
        return None
    return found if found != "none" else f"{platform.node()}:{os.getppid()}"
