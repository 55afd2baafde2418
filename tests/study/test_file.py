"""Study files: what they may say, and how mistakes in their form are listed."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2ptk.errors import UserError
from p2ptk.study.file import Budget, read_study


def test_defaults(tmp_path: Path) -> None:
    found = read_study(_written(tmp_path, ""))
    assert found.problems == ()
    assert found.name == "losses"
    assert found.file.seeds == (0, 1, 2)
    assert found.file.mode == "one-at-a-time"
    assert found.file.evaluate.split == "test"
    assert found.home == tmp_path


def _written(folder: Path, text: str) -> Path:
    path = folder / "losses.toml"
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("2000 steps", Budget(2000, "steps")),
        ("40_000 images", Budget(40000, "images")),
        ("40,000 images", Budget(40000, "images")),
        ("1 epoch", Budget(1, "epochs")),
    ],
)
def test_budget(tmp_path: Path, text: str, budget: Budget) -> None:
    assert read_study(_written(tmp_path, f'budget = "{text}"')).file.budget == budget


@pytest.mark.parametrize(("text", "seeds"), [("4", (0, 1, 2, 3)), ("[7, 3]", (7, 3))])
def test_seeds(tmp_path: Path, text: str, seeds: tuple[int, ...]) -> None:
    assert read_study(_written(tmp_path, f"seeds = {text}")).file.seeds == seeds


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("seeds = 0", "seeds is a count from 1"),
        ("seeds = [1, 1]", "lists a seed twice"),
        ("seeds = [-1]", "seeds.0 should be greater than or equal to 0 (got -1)"),
        ('budget = "0 steps"', "budget reads '2000 steps'"),
        ('budget = "ten steps"', "budget reads '2000 steps'"),
        ('mode = "gird"', "mode should be 'one-at-a-time', 'grid' or 'list' (got 'gird')"),
        ("retreis = 2", "there is no key 'retreis': did you mean 'retries'?"),
        ("[evaluate]\nprimry = 'l1'", "no key 'primry' in [evaluate]: did you mean 'primary'?"),
        ("[evaluate]\nmetrics = ['l1:']\nselect = 'bset'", "should be 'last' or 'best'"),
        ("[[external]]\nlabel = 'x'", "external.0.images is required"),
        ("[factors]\n[base]\n[variants]\na=1", "variants should be a valid tuple"),
    ],
)
def test_mistakes(tmp_path: Path, line: str, sentence: str) -> None:
    problems = read_study(_written(tmp_path, line)).problems
    assert any(sentence in each for each in problems), problems


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    text = "seeds = 0\nnmae = 'x'\nbudget = 3\nretries = 2\n[evaluate]\nspilt = 'val'"
    found = read_study(_written(tmp_path, text))
    assert len(found.problems) == 4
    assert found.file.retries == 2


def test_newer_format(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="format 99, which a newer p2ptk wrote"):
        read_study(_written(tmp_path, "format = 99"))


def test_missing_and_broken(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no study file"):
        read_study(tmp_path / "no.toml")
    with pytest.raises(UserError, match="can't be read as TOML"):
        read_study(_written(tmp_path, "seeds = "))
    with pytest.raises(UserError, match=r"is no study's folder: it has no study\.toml"):
        read_study(tmp_path)


def test_copy_knows_its_home(tmp_path: Path) -> None:
    """The copy in the study's folder means the same paths, and keeps the study's name."""
    home = tmp_path / "a 'b' \"c\""
    (home / "pairs").mkdir(parents=True)
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "study.toml").write_text(read_study(_written(home, "seeds = 1")).copy(), "utf-8")
    again = read_study(folder)
    assert again.home == home
    assert again.name == "losses"
    assert again.at("pairs") == str(home / "pairs")
    assert again.written == {str(home / "pairs"): "pairs"}
    assert again.copy() == again.text
