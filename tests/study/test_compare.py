"""`p2ptk compare`: grouping by design, refusing to mix protocols, and the tables that come out."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from p2ptk.cli import main
from p2ptk.errors import UserError
from p2ptk.layers import read_toml
from p2ptk.plugins import configure
from p2ptk.study.gather import group, read_run, refuse_mixed

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def compare(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Call]:
    """Run `p2ptk compare ARGUMENTS`; gives its exit code, output and errors."""
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["compare", *map(str, arguments)])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, re.sub(r"\s+", " ", err)

    yield call
    configure(enabled=True, files=[])


@pytest.fixture
def changed(two_designs: Path, tmp_path: Path) -> Callable[..., Path]:
    """A copy of the run gan-0 with another config: changed("name", seed=3)."""

    def make(name: str, **keys: Any) -> Path:
        import tomli_w

        folder = tmp_path / name
        shutil.copytree(two_designs / "gan-0", folder)
        table = read_toml(folder / "run.toml")
        for dotted, value in keys.items():
            place = table
            *sections, key = dotted.split("__")
            for section in sections:
                place = place[section]
            place[key] = value
        (folder / "run.toml").write_text(tomli_w.dumps(table), "utf-8")
        return folder

    return make


def all_runs(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir())


def test_runs_that_differ_by_seed_are_one_design(two_designs: Path) -> None:
    designs = group([read_run(path) for path in all_runs(two_designs)])
    assert [design.label for design in designs] == ["gan", "l1"]
    assert [[run.config.seed for run in d.runs] for d in designs] == [[0, 1], [0, 1]]
    assert designs[0].changed == {}
    assert designs[1].changed["discriminator"][1] == "none"
    assert designs[1].changed["losses.l1.weight"] == ("100", "50")


def test_the_baseline_is_the_design_of_the_run_that_is_named(two_designs: Path) -> None:
    runs = [read_run(path) for path in all_runs(two_designs)]
    assert [d.label for d in group(runs, two_designs / "l1-1")] == ["l1", "gan"]
    with pytest.raises(UserError, match="none of the runs"):
        group(runs, two_designs)


def test_where_a_run_ran_does_not_make_another_design(changed: Callable[..., Path]) -> None:
    runs = [read_run(changed("a")), read_run(changed("b", seed=7, workers=3, cache=False))]
    assert len(group(runs)) == 1


def test_names_that_say_nothing_give_way_to_what_differs(changed: Callable[..., Path]) -> None:
    one, other = changed("0123456789ab"), changed("ba9876543210", train__lr=0.1)
    labels = [design.label for design in group([read_run(one), read_run(other)])]
    assert labels == ["baseline", "train.lr=0.1"]


def test_one_seed_twice_is_refused(changed: Callable[..., Path]) -> None:
    with pytest.raises(UserError, match=r"a and .*b are one design with one seed"):
        group([read_run(changed("a")), read_run(changed("b"))])


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"data__path": "elsewhere"}, "has data side-by-side:path="),
        ({"direction": "BtoA"}, "has direction BtoA"),
        ({"train__batch_size": 4}, "has seen 16 pairs in 4 steps, .* 8 in 4"),
        ({"record__val": ["00", "01"]}, "validation pairs"),
    ],
)
def test_mixed_protocols_are_refused(
    keys: dict[str, Any], words: str, changed: Callable[..., Path]
) -> None:
    runs = [read_run(changed("a")), read_run(changed("b", **keys))]
    with pytest.raises(UserError, match=words):
        refuse_mixed(runs)


def test_all_that_is_wrong_is_said_at_once(changed: Callable[..., Path]) -> None:
    runs = [
        read_run(changed("a")),
        read_run(changed("b", direction="BtoA", data__path="elsewhere")),
    ]
    with pytest.raises(UserError) as told:
        refuse_mixed(runs)
    assert "direction" in str(told.value)
    assert "elsewhere" in str(told.value)


def test_another_budget_passes_where_it_is_allowed(changed: Callable[..., Path]) -> None:
    runs = [read_run(changed("a")), read_run(changed("b", train__batch_size=4))]
    refuse_mixed(runs, allow_budget=True)


def test_the_command_prints_differences_and_results(compare: Call, two_designs: Path) -> None:
    code, out, _ = compare(*all_runs(two_designs))
    text = re.sub(r"\s+", " ", out)
    assert code == 0
    assert "What differs variant discriminator losses.gan losses.l1.weight" in text
    assert re.search(r"gan \(baseline\) 2/2 \d+\.\d+ ± ", text)
    assert "Differences to gan, paired by seed" in text
    assert "2 seeds cannot reach p < 0.05" in text
    assert "4 steps of 2 pairs = 8 images" in text


def test_the_command_writes_a_report_and_json(
    compare: Call, two_designs: Path, tmp_path: Path
) -> None:
    code, out, _ = compare(*all_runs(two_designs), "-m", "l1", "-o", tmp_path / "out", "--json",
                           "--baseline", two_designs / "l1-0")  # fmt: skip
    assert code == 0
    found = json.loads(out)
    assert found["baseline"] == "l1"
    assert found["protocol"]["primary"] == "l1"
    assert found["protocol"]["higher_is_better"] is False
    rows = {row["variant"]: row for row in found["variants"]}
    by_seed = {(r["variant"], r["seed"]): r["metrics"]["l1"] for r in found["results"]}
    differences = [by_seed["gan", s] - by_seed["l1", s] for s in (0, 1)]
    assert rows["gan"]["l1 difference"] == pytest.approx(sum(differences) / 2)
    assert rows["gan"]["parameters"] == rows["l1"]["parameters"] > 0
    assert {row["images"] for row in found["per_image"]} == {3}
    assert (tmp_path / "out" / "report.html").is_file()
    assert (tmp_path / "out" / "sheet.png").is_file()


def test_bad_input_is_one_sentence(compare: Call, two_designs: Path, tmp_path: Path) -> None:
    runs = all_runs(two_designs)
    for arguments, words in (
        ((tmp_path / "gone",), "there is no run folder"),
        (runs[:2], "one design"),
        ((runs[0], runs[0]), "one design"),
        ((*runs, "--split", "test"), "no split 'test'"),
        ((*runs, "-m", "psnrr"), "did you mean 'psnr'?"),
    ):
        code, _, err = compare(*arguments)
        assert code == 2, arguments
        assert words in err
        assert "Traceback" not in err
