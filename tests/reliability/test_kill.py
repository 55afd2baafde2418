"""Runs that are killed or asked to stop lose nothing: a small version of benchmarks/kill.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from p2ptk.files import remove_strays

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")


def test_nothing_is_lost(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.kill", "--kills", "3", "--seed", "3", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)
    assert found["wrong"] == [], done.stderr
    assert found["kills"] >= 3
    assert set(found["asked"]) == {"SIGTERM", "Ctrl-C", "Ctrl-C twice"}
    assert set(found["asked"].values()) == {"as if never stopped"}
    assert done.returncode == 0


def test_unfinished_files_of_the_dead_go_at_once_those_of_the_living_stay(tmp_path: Path) -> None:
    code = """
import sys, time
from p2ptk.files import replacing
with replacing(sys.argv[1]) as place:
    place.write_bytes(b"half")
    print("writing", flush=True)
    time.sleep(60)
"""
    command = [sys.executable, "-c", code, str(tmp_path / "file")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        remove_strays(tmp_path, older_than=3600)
        assert len(list(tmp_path.iterdir())) == 1
        process.kill()
        process.wait()
    time.sleep(0.01)
    remove_strays(tmp_path, older_than=3600)
    assert list(tmp_path.iterdir()) == []
