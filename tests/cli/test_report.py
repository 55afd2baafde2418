from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from p2ptk.cli import report as command_module
from p2ptk.config import RunConfig
from p2ptk.runfolder import RunFolder

Command = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.create()
    config = RunConfig.of({"losses": ["l1"], "train": {"steps": 20}})
    folder.config.write_text(config.toml(), "utf-8")
    for step in (10, 20):
        folder.log({"step": step, "g_l1": 1.0 / step, "g_loss": 1.0 / step})
    return folder


def test_writes_both_and_prints_the_path(command: Command, run: RunFolder) -> None:
    done = command("report", run.path)
    assert (done.code, done.out, done.err) == (0, f"{run.report}\n", "")
    assert run.curves.read_bytes().startswith(b"\x89PNG")
    assert "<title>run · p2ptk</title>" in run.report.read_text("utf-8")


def test_a_trained_run(command: Command, tiny: Callable[..., Any]) -> None:
    folder = RunFolder(tiny("trained", {"train": {"steps": 4}}).folder)
    folder.report.unlink()
    folder.curves.unlink()
    assert command("report", folder.path).code == 0
    source = folder.report.read_text("utf-8")
    assert "finished" in source
    assert '"steps":[0,4]' in source


def test_without_the_extra(
    command: Command, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = command_module.find_spec
    for module in [*sys.modules, "matplotlib"]:
        if module.partition(".")[0] == "matplotlib":
            monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(
        command_module, "find_spec", lambda name: None if name == "matplotlib" else there(name)
    )
    done = command("report", run.path)
    assert done.code == 0
    assert done.err.count("\n") == 1
    assert 'pip install "p2ptk[report]"' in done.err
    assert run.report.exists()
    assert not run.curves.exists()

    monkeypatch.setattr(command_module, "find_spec", lambda name: None)
    done = command("report", run.path)
    assert done.code == 2
    assert 'the report page needs jinja2: pip install "p2ptk[report]"' in done.err


def test_the_best_and_the_worst_pairs_of_an_evaluation(
    command: Command, tiny: Callable[..., Any]
) -> None:
    folder = RunFolder(tiny("scored", {"train": {"steps": 2}}).folder)
    assert command("evaluate", folder.path, "-d", "demo", "--split", "val").code == 0
    done = command("report", folder.path)
    assert (done.code, done.err) == (0, "")
    source = folder.report.read_text("utf-8")
    assert "of the 5 pairs of val, by psnr" in source
    assert source.count('class="trio"') == 4

    # Other weights than those that were scored: said in a line, and the shown pairs take over.
    scores = folder.path / "evaluation-val.json"
    scores.write_text(scores.read_text().replace('"step": 2', '"step": 1'))
    done = command("report", folder.path)
    assert done.code == 0
    assert "of step 1, are not in" in done.err
    assert done.err.count("\n") == 1


def test_no_run(command: Command, tmp_path: Path) -> None:
    assert command("report", tmp_path / "nowhere").code == 2
    done = command("report", tmp_path)
    assert done.code == 2
    assert "holds no run" in done.err
