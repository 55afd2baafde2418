"""Model cards say what the model and its run hold, in a form that hubs read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from p2ptk.card import CARD, MARK, card, write_card
from p2ptk.cli.card import card as command
from p2ptk.errors import UserError

EVALUATION = {
    "format": 1,
    "data": "/somewhere/facades",
    "split": "val",
    "step": 6,
    "pairs": 3,
    "scores": [
        {"name": "psnr", "value": 12.5, "n": 3, "low": 11.0, "high": 14.0,
         "higher_is_better": True, "protocol": "dB | of 0..1"},
        {"name": "fid", "value": None, "n": 3},
    ],
    "notes": ["Few pairs."],
}  # fmt: skip


@pytest.fixture
def run_folder(run_folder: Path) -> Path:
    (run_folder / "evaluation-val.json").write_text(json.dumps(EVALUATION), "utf-8")
    return run_folder


def head(text: str) -> dict[str, Any]:
    assert text.startswith("---\n")
    table: dict[str, Any] = yaml.safe_load(text.split("---\n")[1])
    return table


def test_the_card_of_a_run(run_folder: Path) -> None:
    text = write_card(run_folder, license="cc-by-4.0").read_text("utf-8")
    found = head(text)
    assert found["license"] == "cc-by-4.0"
    assert found["library_name"] == "p2ptk"
    assert found["pipeline_tag"] == "image-to-image"
    assert found["metrics"] == ["psnr", "fid"]
    (result,) = found["model-index"][0]["results"]
    assert result["dataset"] == {"name": "facades", "type": "facades", "split": "val"}
    assert result["metrics"] == [{"type": "psnr", "name": "psnr", "value": 12.5}]
    (sheet,) = sorted((run_folder / "samples").glob("*6.png"))
    assert f"](samples/{sheet.name})" in text
    assert "| psnr ↑ | 12.50 | 11.00 to 14.00 | dB \\| of 0..1 |" in text
    assert "Few pairs." in text
    assert "9 pairs" in text
    assert "p2ptk translate generator.safetensors PICTURES -o OUT" in text
    assert str(run_folder) not in text


def test_the_hubs_own_reader_takes_it(run_folder: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    found = hub.ModelCard(card(run_folder / "generator.safetensors")).data
    (result,) = found.eval_results
    assert (result.metric_type, result.metric_value) == ("psnr", 12.5)
    assert found.license is None


def test_scores_of_other_weights_are_named(run_folder: Path) -> None:
    old = {**EVALUATION, "step": 4}
    (run_folder / "evaluation-val.json").write_text(json.dumps(old), "utf-8")
    text = card(run_folder / "generator.safetensors")
    assert "of step 4, not of these weights" in text
    assert "No licence is stated" in text


def test_nobodys_readme_is_written_over(run_folder: Path, tmp_path: Path) -> None:
    place = run_folder / CARD
    place.write_text("mine", "utf-8")
    with pytest.raises(UserError, match="did not write it as it stands: add --force"):
        write_card(run_folder)
    assert place.read_text("utf-8") == "mine"
    write_card(run_folder, force=True)
    assert MARK in place.read_text("utf-8")
    write_card(run_folder)
    other = write_card(run_folder, tmp_path / "cards" / "a.md")
    assert "](../run/samples/" in other.read_text("utf-8")


def test_the_command(run_folder: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(command, [str(run_folder), "--repo", "me/facades"])
    assert done.output.strip() == str(run_folder / CARD)
    text = (run_folder / CARD).read_text("utf-8")
    assert "# facades" in text
    assert "p2ptk pull me/facades -o facades" in text
    done = CliRunner().invoke(command, [str(tmp_path / "none")])
    assert isinstance(done.exception, UserError)
