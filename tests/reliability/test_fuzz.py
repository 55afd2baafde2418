"""Spoilt and hostile input is refused in a sentence: a small version of benchmarks/fuzz.py."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from benchmarks.faults.hostile import pickles

if not sys.platform.startswith("linux"):
    pytest.skip("limits and signals are Linux's", allow_module_level=True)

from benchmarks.faults.targets import TARGETS
from benchmarks.fuzz import fuzz

CASES = {"study": 60, "archive": 150, "run.toml": 200, "state": 200}


@pytest.mark.parametrize("target", TARGETS)
def test_no_case_does_harm(target: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("P2PTK_CACHE", str(tmp_path))
    threads = torch.get_num_threads()
    try:
        found = fuzz(target, range(CASES.get(target, 300)), seed=1)
    finally:
        torch.set_num_threads(threads)
    assert found["kinds"] == {}
    # Both ways out are taken, or the cases say nothing.
    assert 0 < found["refused"] < found["cases"]


def test_the_pickles_would_do_harm_without_care(tmp_path: Path) -> None:
    """What the canary proves: that code was there to be run."""
    import pickle

    canary = tmp_path / "canary"
    sung = 0
    for data in pickles(canary):
        if b"antigravity" in data:
            continue
        pickle.loads(data)
        sung += canary.exists()
        canary.unlink(missing_ok=True)
    assert sung == 30
