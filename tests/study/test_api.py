"""Studies from Python."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import p2ptk
from p2ptk.errors import UserError
from p2ptk.study.api import make_launcher


@pytest.fixture
def study(tmp_path: Path, pairs: Path, write_study: Callable[..., Path]) -> p2ptk.Study:
    path = write_study(tmp_path, pairs, '[factors]\n"losses.l1.weight" = [100, 10]\n')
    return p2ptk.Study.from_file(path, tmp_path / "out")


def test_run_table_and_status(study: p2ptk.Study, pretending: Any) -> None:
    assert [row["status"] for row in study.status()] == ["missing"] * 4
    assert not study.folder.exists()
    launcher = pretending(value=lambda job: 0.5 + 0.1 * ("10" in job.variant) + 0.01 * job.seed)
    ended = study.run(launcher=launcher, quiet=True)
    assert ended.count("done") == 4
    rows = study.table()
    assert [row["variant"] for row in rows] == ["baseline", "losses.l1.weight=10"]
    assert rows[0]["ssim"] == pytest.approx(0.505)
    assert rows[1]["ssim difference"] == pytest.approx(0.1)
    assert (study.folder / "report.md").is_file()
    assert [row["status"] for row in study.status()] == ["done"] * 4
    again = p2ptk.Study.from_file(study.folder)
    assert again.folder == study.folder
    assert again.results() == study.results()


def test_frame(study: p2ptk.Study, pretending: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    study.run(launcher=pretending(), quiet=True)
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "pandas":
            raise ImportError(name)
        return real(name, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "__import__", without)
        with pytest.raises(UserError, match="needs pandas"):
            study.table(frame=True)
    pandas = pytest.importorskip("pandas")
    frame = study.table(frame=True)
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame["variant"]) == ["baseline", "losses.l1.weight=10"]


def test_launchers() -> None:
    assert make_launcher("local", 3).workers == 3
    with pytest.raises(UserError, match="has no workers to count"):
        make_launcher("subprocess-list", 3)
    with pytest.raises(UserError, match="did you mean 'local'"):
        make_launcher("locla")
