from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from p2ptk.errors import UserError
from p2ptk.trackers.jsonl import JsonLines


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def write(folder: Path, path: Path, *steps: int, value: float = 1.0) -> None:
    tracker = JsonLines(folder=folder, path=str(path))
    for step in steps:
        tracker.scalars(step, {"g_l1": value})
        tracker.images(step, {})
    tracker.close()


def test_a_line_a_call(tmp_path: Path) -> None:
    path = tmp_path / "far" / "away.jsonl"
    tracker = JsonLines(folder=tmp_path / "mine", path=str(path))
    tracker.scalars(10, {"g_l1": 0.5, "val_fid": math.inf})
    assert lines(path) == [{"run": "mine", "step": 10, "g_l1": 0.5, "val_fid": None}]


def test_a_resumed_run_has_no_step_twice(tmp_path: Path) -> None:
    path = tmp_path / "all.jsonl"
    write(tmp_path / "a", path, 10, 20, 30)
    write(tmp_path / "b", path, 10, 20)
    with path.open("a") as file:
        file.write('{"run": "a", "st')  # as a killed machine leaves it
    write(tmp_path / "a", path, 20, 30, value=2.0)
    found = [(row["run"], row["step"], row["g_l1"]) for row in lines(path)]
    assert found == [
        ("a", 10, 1.0),
        ("b", 10, 1.0),
        ("b", 20, 1.0),
        ("a", 20, 2.0),
        ("a", 30, 2.0),
    ]


def test_the_runs_name_in_the_path(tmp_path: Path) -> None:
    write(tmp_path / "mine", tmp_path / "{run}.jsonl", 1)
    assert (tmp_path / "mine.jsonl").exists()


def test_a_place_that_cant_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="can't be written"):
        JsonLines(folder=tmp_path, path=str(tmp_path / "file" / "log.jsonl"))
