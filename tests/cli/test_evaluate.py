"""`p2ptk evaluate` as it is typed: its table, its files, its exit codes."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from p2ptk.metrics import pretrained

Tiny = Callable[..., Any]


@pytest.fixture
def run(run_folder: Path) -> Path:
    """The folder of a tiny run."""
    return run_folder


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights are neither here nor to be fetched."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(pretrained, "_failed", {})

    def fetch(*_: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(pretrained, "_fetch", fetch)


def test_a_table_and_files_in_the_run_folder(command: Any, run: Path, pairs: Path) -> None:
    done = command("evaluate", run, "-d", pairs)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0].split() == ["metric", "value", "95", "%", "interval", "n"]
    assert [line.split()[0] for line in lines[1:4]] == ["psnr", "ssim", "l1"]
    assert " to " in lines[1]
    assert lines[1].split()[-1] == "3"
    assert "over 3 pairs of val, 32x32 pixels" in lines
    assert "ssim  Wang et al. 2004, eq. 13, on [0, 1]; mean over images." in lines
    table = json.loads((run / "evaluation-val.json").read_text())
    assert table["metrics"].keys() == {"psnr", "ssim", "l1"}
    assert (table["split"], table["size"], table["precision"]) == ("val", [32, 32], "fp32")
    with (run / "per_image-val.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["00", "01", "02"]
    mean = sum(float(row["l1"]) for row in rows) / 3
    assert mean == pytest.approx(table["metrics"]["l1"])


def test_json_and_files_elsewhere(command: Any, run: Path, pairs: Path, tmp_path: Path) -> None:
    done = command(
        "evaluate", run / "generator.safetensors", "-d", pairs, "--json", "-m", "l1",
        "--per-image", tmp_path / "deep" / "each.csv",
    )  # fmt: skip
    assert done.json["metrics"].keys() == {"l1"}
    assert done.json["scores"][0]["low"] < done.json["metrics"]["l1"]
    assert done.json["pairs"] == 3
    assert (tmp_path / "deep" / "each.csv").exists()
    assert not (run / "evaluation-val.json").exists()
    done = command("evaluate", run, "-d", pairs, "-m", "l1", "-o", tmp_path / "results")
    assert {p.name for p in (tmp_path / "results").iterdir()} == {
        "evaluation-val.json", "per_image-val.csv",
    }  # fmt: skip
    assert not (run / "evaluation-val.json").exists()


def test_pictures_of_any_program(command: Any, run: Path, pairs: Path, tmp_path: Path) -> None:
    own = command("evaluate", run, "-d", pairs, "--json", "--save-images", tmp_path / "out")
    again = command("evaluate", "--images", tmp_path / "out", "-d", pairs, "--json")
    assert again.code == 0, again.err
    assert again.json["metrics"] == pytest.approx(own.json["metrics"], abs=0.02)
    assert again.json["images"] == str(tmp_path / "out")
    (tmp_path / "out" / "01.png").rename(tmp_path / "out" / "cat.png")
    wrong = command("evaluate", "--images", tmp_path / "out", "-d", pairs)
    assert wrong.code == 2
    assert "pairs without a picture: 01; pictures without a pair: cat.png" in wrong.err


@pytest.mark.usefixtures("offline")
def test_weights_that_can_not_be_had(command: Any, run: Path, pairs: Path) -> None:
    pytest.importorskip("lpips")
    pytest.importorskip("torch_fidelity")
    done = command("evaluate", run, "-d", pairs, "-m", "l1", "-m", "lpips", "-m", "fid")
    assert done.code == 1
    assert done.out.splitlines()[1].startswith("l1")
    assert "left out: lpips: lpips needs the weights alexnet-owt-7be5be79.pth" in done.err
    assert "(no route to host)" in done.err
    assert "left out: fid: fid needs the weights" in done.err
    assert json.loads((run / "evaluation-val.json").read_text())["failed"].keys() == {
        "lpips", "fid",
    }  # fmt: skip
    alone = command("evaluate", run, "-d", pairs, "-m", "kid")
    assert alone.code == 1
    assert "error: kid needs the weights" in alone.err


def test_a_metric_that_does_not_suit(command: Any, run: Path, pairs: Path) -> None:
    done = command("evaluate", run, "-d", pairs, "-m", "l1", "-m", "ms-ssim")
    assert done.code == 2
    assert done.out.splitlines()[1].startswith("l1")
    assert "ms-ssim:scales=2 would do" in done.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "give a model to score, or pictures with --images"),
        (("{run}", "--images", "x"), "give a model to score, or pictures"),
        (("{run}", "--size", "64"), "--direction and --size go with --images"),
        (("--images", "x", "--save-images", "y"), "are there already"),
        (("--images", "x", "--size", "big"), "--size takes N or HEIGHTxWIDTH"),
        (("{run}", "-m", "pnsr"), "did you mean 'psnr'"),
        (("{run}", "-m", "ssim:border=wrap"), "border"),
        (("{run}", "-m", "lpips:weights=none.pth"), "no weights file 'none.pth'"),
        (("{run}", "-m", "fcn-score"), "scorer is required"),
        (("{run}", "--split", "test"), "no split 'test'"),
        (("nowhere",), "no model 'nowhere'"),
    ],
)
def test_bad_input(
    command: Any, run: Path, pairs: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    filled = [a.replace("{run}", str(run)) for a in arguments]
    done = command("evaluate", *filled, "-d", pairs)
    assert done.code == 2
    assert sentence in done.err
    assert not list(run.glob("evaluation*"))


def test_best_weights_are_a_model_like_any(
    command: Any, tiny: Tiny, pairs: Path, tmp_path: Path
) -> None:
    tiny("best", {"output": {"evaluate_every": 3}, "metrics": ["l1"]})
    done = command(
        "evaluate", tmp_path / "best" / "best.safetensors", "-d", pairs, "-m", "l1", "--json"
    )
    assert done.json["metrics"]["l1"] > 0
    assert done.json["step"] in (3, 6)
