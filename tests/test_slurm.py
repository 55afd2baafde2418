"""The Slurm scripts of the examples, with stand-ins for `p2ptk` and Slurm's own commands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "examples" / "slurm"

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Slurm runs on Linux")


def stand_in(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/bash\n{body}\n")
    path.chmod(0o755)


def sbatch(script: str, *arguments: str, path: Path, **variables: str) -> tuple[int, str]:
    environment = {"PATH": f"{path}:{os.environ['PATH']}", "HERE": str(path), **variables}
    done = subprocess.run(
        ["bash", str(SCRIPTS / script), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("script", ["study.sbatch", "run.sbatch"])
def test_every_directive_is_one_of_sbatchs(script: str) -> None:
    lines = (SCRIPTS / script).read_text().splitlines()
    assert lines[0] == "#!/bin/bash"
    given = [line for line in lines if line.startswith("#SBATCH")]
    known = [
        "job-name",
        "time",
        "gpus",
        "cpus-per-task",
        "mem",
        "output",
        "signal",
        "open-mode",
        "requeue",
    ]
    assert given
    for line in given:
        match = re.fullmatch(r"#SBATCH --([a-z-]+)(=\S+)?", line)
        assert match and match[1] in known, line  # noqa: PT018
    # sbatch reads directives only before the first command
    first = next(i for i, line in enumerate(lines) if line and not line.startswith("#"))
    assert max(lines.index(line) for line in given) < first


def test_a_task_runs_its_own_line(tmp_path: Path) -> None:
    commands = tmp_path / "commands.txt"
    commands.write_text(
        "".join(f'{sys.executable} -c \'open("{tmp_path}/ran-{n}", "w")\'\n' for n in (1, 2, 3))
    )
    code, said = sbatch("study.sbatch", str(commands), path=tmp_path, SLURM_ARRAY_TASK_ID="2")
    assert code == 0, said
    assert [p.name for p in tmp_path.glob("ran-*")] == ["ran-2"]


def test_a_task_beyond_the_list_says_so(tmp_path: Path) -> None:
    commands = tmp_path / "commands.txt"
    commands.write_text("true\n")
    code, said = sbatch("study.sbatch", str(commands), path=tmp_path, SLURM_ARRAY_TASK_ID="7")
    assert (code, said) == (2, f"{commands} has no line 7\n")


@pytest.mark.parametrize(("code", "expected", "requeued"), [(0, 0, 0), (3, 0, 1), (4, 4, 0)])
def test_a_run_that_can_go_on_goes_back_in_the_queue(
    tmp_path: Path, code: int, expected: int, requeued: int
) -> None:
    stand_in(tmp_path, "p2ptk", f'echo "$@" >> "$HERE/p2ptk.log"; exit {code}')
    stand_in(tmp_path, "scontrol", 'echo "$@" >> "$HERE/scontrol.log"')
    found, said = sbatch("run.sbatch", "runs/x", "-d", "a b", path=tmp_path, SLURM_JOB_ID="41")
    assert found == expected, said
    assert (tmp_path / "p2ptk.log").read_text() == (
        "run -d a b -o runs/x --resume-if-exists --max-time 3h50m\n"
    )
    log = tmp_path / "scontrol.log"
    assert (log.read_text() if log.exists() else "") == "requeue 41\n" * requeued
