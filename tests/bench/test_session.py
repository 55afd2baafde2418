"""`p2ptk bench` from end to end, on networks so small that the numbers mean nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from rich.console import Console

from p2ptk.bench import paths, session
from p2ptk.bench.memory import peak_of
from p2ptk.bench.paths import PLAIN, Case, ways_of
from p2ptk.bench.pictures import draw_pairs
from p2ptk.bench.session import Asked, Effort, measure
from p2ptk.bench.tables import cells, heading, table
from p2ptk.cli.bench import bench
from p2ptk.errors import UserError

TINY = ["-G", "unet:depth=3,width=4", "-D", "patchgan:layers=1,width=4"]
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def in_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """No processes of their own for memory, peaks that are not worth a second, short turns."""
    monkeypatch.setattr(session, "peak_of", lambda case, way: 3 * 2**29)
    monkeypatch.setattr(session, "measured_peak", lambda device, name: 1e12)
    monkeypatch.setattr(session, "QUICK", replace(session.QUICK, turn_seconds=0.01))


def test_the_command_prints_json(tmp_path: Path) -> None:
    trace = tmp_path / "trace.json"
    options = ["--quick", "--size", "32", "--batch-size", "1,2", "--device", "cpu", *TINY]
    options += ["--precision", "fp32", "--json", "--profile", str(trace)]
    done = CliRunner().invoke(bench, options, catch_exceptions=False)
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert {"torch", "p2ptk", "python", "device", "threads", "peak_flops"} <= found.keys()
    assert [(case["size"], case["batch_size"]) for case in found["cases"]] == [(32, 1), (32, 2)]
    for case in found["cases"]:
        plain, ours = case["rows"]
        assert (plain["way"], plain["times_plain"]) == (PLAIN, 1.0)
        assert ours["default"]
        assert ours["images_per_s"] == pytest.approx(1000 * case["batch_size"] / ours["ms"])
        assert ours["peak_share"] == pytest.approx(case["flops"] / (ours["ms"] / 1000) / 1e12)
        assert ours["times_plain"] > 0
        assert len(ours["turns_ms"]) == session.QUICK.rounds
    assert len(found["dearest"]) == 10
    assert json.loads(trace.read_text())["traceEvents"]


def test_the_command_prints_tables() -> None:
    options = ["--quick", "--size", "32", "--batch-size", "1", "--device", "cpu", *TINY]
    done = CliRunner().invoke(bench, [*options, "--precision", "bf16"], catch_exceptions=False)
    assert "32x32, batch 1" in done.stdout
    assert "bf16, deep products *" in done.stdout
    assert "1.50" in done.stdout  # GiB


@pytest.mark.parametrize("wrong", ["0", "1,x", "1,,2", "-1"])
def test_numbers_are_checked(wrong: str) -> None:
    done = CliRunner().invoke(bench, ["--batch-size", wrong])
    assert done.exit_code == 2
    assert "no list of numbers" in done.output


def test_what_does_not_fit_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    real = paths.start

    def start(case: Case, way: Any) -> Any:
        if way.default:
            raise torch.OutOfMemoryError("too much")
        return real(case, way)

    monkeypatch.setattr(session, "start", start)
    ways = ways_of(CPU, ["fp32"], quick=True)
    asked = Asked(CPU, ways, [1], [32], TINY[1], TINY[3], Effort(rounds=1, turn_seconds=0.01))
    plain, ours = measure(asked)["cases"][0]["rows"]
    assert "ms" in plain
    assert "ms" not in ours
    assert cells(ours)[:2] == ["fp32, deep products *", "does not fit"]


def test_a_table_of_given_numbers() -> None:
    row = {
        "way": "bf16, graph",
        "precision": "bf16",
        "default": True,
        "peak_memory": 3 * 2**29,
        "ms": 2.0,
        "images_per_s": 500.0,
        "feed_wait_ms": 0.25,
        "peak_share": 0.125,
        "times_plain": 4.0,
        "notes": [],
    }
    assert cells(row) == ["bf16, graph *", "500.00", "2.0", "4.00", "1.50", "0.2", "12%"]
    console = Console(width=80, record=True, quiet=True)
    console.print(table({"size": 256, "batch_size": 1, "flops": 86.9e9, "rows": [row]}))
    found = {
        "device": "a GPU",
        "processor": "a CPU",
        "peak_flops": {"bf16": 7.9e14},
        "p2ptk": "0.1",
        "torch": "2.9",
        "python": "3.12",
        "cuda": "13.0",
        "cudnn": 91000,
        "load_average": 0.5,
        "load_average_after": 1.5,
    }
    assert "bf16 790.00 TFLOP/s" in heading(found)
    assert "load 0.5 before, 1.5 after" in heading(found)


@pytest.mark.slow
def test_memory_is_that_of_a_process_of_its_own(tmp_path: Path) -> None:
    draw_pairs(tmp_path, 32, count=4)
    case = Case(str(tmp_path), 32, 1, "cpu", TINY[1], TINY[3], workers=0)
    way = ways_of(CPU, ["fp32"], quick=True)[1]
    assert (peak_of(case, way, steps=1) or 0) > 2**26
    assert peak_of(Case(str(tmp_path / "none"), 32, 1, "cpu"), way) is None


def test_a_size_that_does_not_fit_is_refused_at_once() -> None:
    done = CliRunner().invoke(bench, ["--size", "96", "--device", "cpu"])
    assert isinstance(done.exception, UserError)
    assert "needs sizes that are multiples of 256, and 96 is not" in str(done.exception)
