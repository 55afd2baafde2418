"""One process, two and four train the same: the same pairs, losses and weights."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

SCRIPT = Path(__file__).with_name("cases.py")
_told = runpy.run_path(str(SCRIPT))
CASES, STEPS, run_all = _told["CASES"], _told["STEPS"], _told["run_all"]
TOLERANCE = 1e-5  # of losses above 1 relative, else and of weights absolute; all in float32


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("alone")
    run_all(place)
    return place


@pytest.mark.parametrize("processes", [2, 4])
def test_several_processes_train_as_one(alone: Path, tmp_path: Path, processes: int) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    subprocess.run(
        [*torchrun, "--nproc-per-node", str(processes), str(SCRIPT), str(tmp_path)],
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=240,
    )
    for case in CASES:
        compare(alone / case, tmp_path / case)
    environment = json.loads((tmp_path / "adam/environment.json").read_text())
    assert environment["processes"] == processes


def compare(mine: Path, theirs: Path) -> None:
    """Two run folders: the same files, losses and weights."""
    assert names(mine) == names(theirs)
    assert len(rows(mine)) == len(rows(theirs)) == STEPS
    for a, b in zip(rows(mine), rows(theirs), strict=True):
        assert a.keys() == b.keys()
        losses = [name for name in a if name.startswith(("g_", "d_"))]
        assert len(losses) >= 4
        for name in losses:
            assert b[name] == pytest.approx(a[name], rel=TOLERANCE, abs=TOLERANCE), (mine, name)
    for name in ("generator", "discriminator"):
        a, b = weights(mine, name), weights(theirs, name)
        assert a.keys() == b.keys()
        for key, tensor in a.items():
            assert (tensor.float() - b[key].float()).abs().max() < TOLERANCE, (mine, key)


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def weights(folder: Path, name: str) -> dict[str, Any]:
    (checkpoint,) = (folder / "checkpoints").glob(f"*{STEPS}")
    return load_file(checkpoint / f"{name}.safetensors")
