"""`p2ptk study` and `p2ptk ablate`, in this process, with a launcher that trains nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from p2ptk.cli import main
from p2ptk.components import register
from p2ptk.plugins import configure
from p2ptk.study import estimate

BODY = '[factors]\n"losses.l1.weight" = [100, 10]\n'


@pytest.fixture
def study(tmp_path: Path, pairs: Path, write_study: Callable[..., Path]) -> Path:
    return write_study(tmp_path, pairs, BODY)


@pytest.fixture
def command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, pretending: Any
) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """command("run", FILE, ...) -> exit code, output, errors of `p2ptk study run FILE ...`; the
    launcher `pretended` writes results at once."""
    monkeypatch.setenv("COLUMNS", "200")

    def make() -> Any:
        return pretending()

    def run(*arguments: Any, group: str = "study") -> tuple[int, str, str]:
        configure(enabled=True, files=[])
        register("launcher", "pretended", make)
        with pytest.raises(SystemExit) as ended:
            main([*([group] if group else []), *map(str, arguments)])
        found = capsys.readouterr()
        return int(ended.value.code or 0), found.out, found.err

    yield run
    configure(enabled=True, files=[])


def test_dry_run_writes_nothing(
    command: Any, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "estimate", partial(estimate.estimate, seconds=0.01))
    out = tmp_path / "out"
    code, said, _ = command("run", study, "-o", out, "--dry-run")
    assert code == 0
    assert "4 runs, 4 to go" in said
    assert "losses.l1.weight: 10" in said
    assert "2 seeds cannot reach p < 0.05" in said
    assert not out.exists()
    code, said, _ = command("run", study, "-o", out, "--dry-run", "--json")
    found = json.loads(said)
    assert (found["runs"], found["to_go"]) == (4, 4)
    assert found["seconds"] > 0
    assert found["variants"][1]["differences"] == {"losses.l1.weight": ["100", "10"]}


def test_run_status_show_report(command: Any, study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, said, errors = command("run", study, "-o", out, "--launcher", "pretended")
    assert code == 0
    assert "losses.l1.weight=10" in said
    assert "4 runs: 0 are there, 4 to go" in errors
    assert "report.html" in said
    code, said, _ = command("run", out, "--launcher", "pretended", "--json")
    assert json.loads(said)["open"] == 0
    code, said, _ = command("status", out)
    assert code == 0
    assert f"4 of 4 runs done, in {out}" in said
    code, said, _ = command("show", study, "losses.l1.weight=10", "-o", out)
    assert "losses.l1.weight: 100 -> 10" in said
    assert str(out / "runs") in said.replace("\n", "")
    code, said, _ = command("show", study, "-o", out, "--json")
    assert [each["variant"] for each in json.loads(said)] == ["baseline", "losses.l1.weight=10"]
    (out / "report.md").unlink()
    code, said, _ = command("report", study, "-o", out, "--json")
    assert str(out / "report.md") in json.loads(said)["files"]
    (out / "report.md").unlink()
    assert command("report", out, group="")[0] == 0
    assert (out / "report.md").is_file()


def test_handed_over(
    command: Any, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """subprocess-list writes a line a job; what it does not know is not claimed."""
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "out"
    code, _, errors = command(study, "-o", out, "--launcher", "subprocess-list", group="ablate")
    assert code == 3
    assert "0 of 4 runs done, 4 missing" in errors
    assert "the launcher has the rest" in errors
    lines = (tmp_path / "commands.txt").read_text().splitlines()
    assert len(lines) == 4
    assert all(str(out / "jobs") in line for line in lines)
    assert command("status", study, "-o", out)[0] == 3


def test_refusals(command: Any, study: Path, tmp_path: Path) -> None:
    study.write_text(study.read_text() + "primry = 3\n")
    code, _, errors = command("run", study, "-o", tmp_path / "out")
    assert code == 2
    assert "did you mean 'primary'" in errors
    assert not (tmp_path / "out").exists()
    code, _, errors = command("run", tmp_path / "no.toml")
    assert (code, "there is no study file" in errors) == (2, True)
    code, _, errors = command("rnu", study)
    assert (code, "did you mean 'run'" in errors) == (2, True)
