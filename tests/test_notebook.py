"""The notebooks of the examples run from their first cell to their last, in a few steps.

Its cells are plain Python but for the guarded `%pip install`, so that they run here in one process:
a kernel would need jupyter's packages, and a port, for nothing more.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
NAMES = ("train", "use")
PAGES: dict[str, dict[str, Any]] = {
    name: json.loads((ROOT / "examples" / f"{name}.ipynb").read_text("utf-8")) for name in NAMES
}


def cells(name: str, kind: str) -> list[str]:
    return ["".join(c["source"]) for c in PAGES[name]["cells"] if c["cell_type"] == kind]


INSTALL = re.compile(
    r"import importlib\.util\n\n"
    r'if importlib\.util\.find_spec\("p2ptk"\) is None:\n    %pip install -q "p2ptk\[.*\n?'
)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_notebook_without_outputs(name: str) -> None:
    page = PAGES[name]
    assert (page["nbformat"], page["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in page["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in page["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


@pytest.mark.parametrize("name", NAMES)
def test_the_first_cell_installs_only_where_p2ptk_is_missing(name: str) -> None:
    """The one cell that is no Python: it is read here, since it can't run."""
    install, *others = cells(name, "code")
    assert INSTALL.fullmatch(install)
    for cell in others:
        ast.parse(cell)


@pytest.mark.parametrize("name", NAMES)
def test_what_the_text_names_is_there(name: str) -> None:
    for path in re.findall(r"`(docs/[\w./-]+)`", "".join(cells(name, "markdown"))):
        assert (ROOT / path).is_file(), path


@pytest.mark.slow
def test_training_in_a_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("P2PTK_NOTEBOOK_STEPS", "2")
    shown, names = run_all("train")
    pictures = [value for value in shown if isinstance(value, Image.Image)]
    assert len(pictures) == 4  # two sample sheets, the curves, a translation
    assert pictures[-1].size == (3 * 256, 256)
    assert names["outcome"].step == 2
    assert pictures[0].filename != pictures[1].filename  # type: ignore[attr-defined]
    said = capsys.readouterr().out
    assert re.search(r"^psnr +\d+\.\d{4}\nssim .*\nl1 ", said, re.MULTILINE)


@pytest.mark.slow
def test_using_a_model_in_a_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("P2PTK_NOTEBOOK_STEPS", "2")
    shown, names = run_all("use")
    sizes = [value.size for value in shown if isinstance(value, Image.Image)]
    assert sizes == [(256, 256), (900, 600)]
    said = capsys.readouterr().out
    assert "(256, 256, 3) uint8 (3, 256, 256) (4, 3, 256, 256)" in said
    assert "[(256, 256), (300, 200)]\nTrue\n" in said
    assert names["y"].abs().max() <= 1
    assert (Path(names["MODEL"]) / "generator.onnx").is_file()


def run_all(name: str) -> tuple[list[Any], dict[str, Any]]:
    """What each cell shows, and the names at the end."""
    names: dict[str, Any] = {"__name__": "__main__"}
    code = cells(name, "code")[1:]
    return [run_cell(cell, f"cell {i}", names) for i, cell in enumerate(code, start=1)], names


def run_cell(text: str, where: str, names: dict[str, Any]) -> Any:
    """Run a cell as a kernel would; gives the value of a last line that is an expression."""
    body = ast.parse(text, where).body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), where, "exec"), names)
    if last is None:
        return None
    assert isinstance(last, ast.Expr)
    return eval(compile(ast.Expression(last.value), where, "eval"), names)
