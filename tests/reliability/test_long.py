"""Long runs, large sets and studies, in small: that benchmarks/long.py measures what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.licences import STRONG, licence_of, required

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_what_grows_is_measured() -> None:
    command = [sys.executable, "-m", "benchmarks.long", "--json",
               "--steps=100", "--pairs=400", "--runs=10"]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["steps"]["log lines"] <= 100
    assert found["pairs"]["pairs"] == 400
    assert found["runs"]["runs"] == 10


def test_every_requirement_tells_a_licence_that_lets_programs_be() -> None:
    names = required("p2ptk")
    assert {"torch", "pillow", "safetensors", "tifffile"} <= names
    for name in names:
        assert licence_of(name), name
        assert not STRONG.search(licence_of(name)), name


@pytest.mark.parametrize(
    ("words", "strong"),
    [("GPL-3.0-only", True), ("AGPL-3.0", True), ("LGPL-2.1", False), ("BSD License", False)],
)
def test_which_licences_ask_for_their_own_terms(words: str, strong: bool) -> None:
    assert bool(STRONG.search(words)) == strong
