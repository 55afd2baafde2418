"""The kit under pytest, as a plugin author's tests have it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TESTS = """
import socket
import sys

import pytest

from p2ptk.testing import Check, checks

ALONE = "import-touches-nothing"


class InTurn:
    "A launcher. far: whether it asks for a host."

    def __init__(self, *, far: bool = True) -> None:
        if far:
            socket.getaddrinfo("example.org", 80)

    def launch(self, jobs):
        return [job() for job in jobs]


class Idle(InTurn):
    def launch(self, jobs):
        return []


def test_fixture(conformance):
    conformance("launcher", InTurn, params={"far": False}, skip=[ALONE])
    with pytest.raises(AssertionError, match="gives 0 results of 3 jobs"):
        conformance("launcher", Idle, params={"far": False}, skip=[ALONE])


@pytest.mark.parametrize("check", [c for c in checks("launcher") if c.name != ALONE], ids=str)
def test_one_check(check: Check):
    check(InTurn, params={"far": False})


def test_none_of_this_loads_torch():
    assert "torch" not in sys.modules
"""


def test_a_plugins_tests(tmp_path: Path) -> None:
    """The fixture comes by the entry point alone."""
    (tmp_path / "test_it.py").write_text(TESTS, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert "9 passed, 1 skipped" in done.stdout, done.stdout + done.stderr
    assert "its defaults fetch something from example.org" in done.stdout


def test_pytest_starts_with_nothing_heavy() -> None:
    code = (
        "import sys, p2ptk.testing.pytest_plugin\n"
        "print(*(m for m in ('torch', 'numpy', 'pydantic') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_entry_point_names_the_plugin() -> None:
    import tomllib

    import p2ptk
    from p2ptk.testing.pytest_plugin import conformance

    file = Path(p2ptk.__file__).parents[1] / "pyproject.toml"
    points = tomllib.loads(file.read_text("utf-8"))["project"]["entry-points"]
    assert points["pytest11"] == {"p2ptk": conformance.__module__}
