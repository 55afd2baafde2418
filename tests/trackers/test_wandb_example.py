"""The tracker of docs/trackers.md, as it stands there, against a stand-in for wandb."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from p2ptk.components import create
from p2ptk.errors import UserError
from p2ptk.observe import Observer
from p2ptk.plugins import configure
from p2ptk.run import resume
from p2ptk.runfolder import RunFolder
from p2ptk.testing import conformance

PAGE = Path(__file__).parents[2] / "docs" / "trackers.md"


class Run:
    """What the example uses of a `wandb.Run`; it notes all of it."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options, self.rows, self.finished = options, [], 0
        self.metrics: list[tuple[str, str | None]] = []

    def define_metric(self, name: str, *, step_metric: str | None = None) -> None:
        self.metrics.append((name, step_metric))

    def log(self, data: dict[str, Any]) -> None:
        assert not self.finished
        self.rows.append(data)

    def finish(self) -> None:
        self.finished += 1


class Stub(ModuleType):
    def __init__(self) -> None:
        super().__init__("wandb")
        self.runs: list[Run] = []

    def init(
        self,
        *,
        project: str | None = None,
        name: str | None = None,
        id: str | None = None,
        dir: str | None = None,
        mode: str | None = None,
        resume: str | None = None,
    ) -> Run:
        assert not set(id or "") & set("/\\#?%:")  # as wandb demands
        options = {"project": project, "name": name, "id": id, "dir": dir, "mode": mode}
        self.runs.append(Run({**options, "resume": resume}))
        return self.runs[-1]

    def Image(self, data: Any) -> tuple[int, ...]:
        assert isinstance(data, np.ndarray)
        assert data.dtype == np.uint8
        return data.shape


@pytest.fixture
def wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    """The example loaded with `--plugin`, and the stub in wandb's place."""
    found = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    (code,) = [block for block in found if "class Wandb" in block]
    path = tmp_path / "wandb_tracker.py"
    path.write_text(code, "utf-8")
    stub = Stub()
    monkeypatch.setitem(sys.modules, "wandb", stub)
    configure(enabled=True, files=[str(path)])
    yield stub
    configure(enabled=True, files=[])


def test_a_run_is_mirrored_and_resumed(wandb: Stub, tiny: Callable[..., Any]) -> None:
    table = {
        "trackers": ["wandb:project=maps"],
        "train": {"steps": 4},
        "output": {"log_every": 1, "sample_every": 2},
    }
    folder = RunFolder(tiny("w", table, stop_at=2).folder)
    resume(folder, Observer())
    first, second = wandb.runs
    assert first.options == second.options  # the same id: one run there
    assert first.options["project"] == "maps"
    assert first.options["mode"] == "offline"
    assert first.options["resume"] == "allow"
    assert Path(first.options["dir"]) == folder.path.resolve()
    assert first.metrics == [("step", None), ("*", "step")]
    rows = [row for run in wandb.runs for row in run.rows]
    scalars = {row["step"]: row["g_l1"] for row in rows if "g_l1" in row}
    assert scalars == {row["step"]: row["g_l1"] for row in folder.read_log()}
    images = [row["step"] for row in rows if "samples" in row]
    assert images == [0, 2, 4]
    assert all(len(row["samples"]) == 3 for row in rows if "samples" in row)
    assert [run.finished for run in wandb.runs] == [1, 1]


@pytest.mark.slow
def test_it_is_what_a_tracker_must_be(wandb: Stub) -> None:
    conformance("tracker", "wandb")


def test_without_wandb(wandb: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match="pip install wandb"):
        create("tracker", "wandb", folder=tmp_path)
