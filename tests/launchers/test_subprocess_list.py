"""The file of commands: what a shell makes of each line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from p2ptk import UserError, create
from p2ptk.study.records import Job


def jobs(folder: Path, count: int = 3) -> list[Job]:
    made = []
    for n in range(count):
        code = f"import sys, pathlib; pathlib.Path(sys.argv[1]).write_text('{n}')"
        command = (sys.executable, "-c", code, str(folder / f"what's $HERE {n}.txt"))
        made.append(Job(f"k{n}", "a", n, folder / "runs" / f"k{n}", command))
    return made


def test_one_line_a_job_that_a_shell_runs(tmp_path: Path) -> None:
    file = tmp_path / "new folder" / "commands.txt"
    launcher = create("launcher", {"name": "subprocess-list", "file": str(file)})
    assert list(launcher.launch(jobs(tmp_path))) == []
    assert not list(tmp_path.glob("*.txt"))
    lines = file.read_text().splitlines()
    assert len(lines) == 3
    subprocess.run(lines[1], shell=True, check=True)
    assert (tmp_path / "what's $HERE 1.txt").read_text() == "1"


def test_nothing_to_do_writes_nothing(tmp_path: Path) -> None:
    launcher = create("launcher", {"name": "subprocess-list", "file": str(tmp_path / "c.txt")})
    assert list(launcher.launch([])) == []
    assert not (tmp_path / "c.txt").exists()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    spec = {"name": "subprocess-list", "file": str(tmp_path / "file" / "c.txt")}
    with pytest.raises(UserError, match="can't be written"):
        create("launcher", spec).launch(jobs(tmp_path))
