"""examples/train.ipynb runs from its first cell to its last, in a few steps.

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

NOTEBOOK = Path(__file__).parents[1] / "examples" / "train.ipynb"
PAGE: dict[str, Any] = json.loads(NOTEBOOK.read_text("utf-8"))
CODE = ["".join(cell["source"]) for cell in PAGE["cells"] if cell["cell_type"] == "code"]
INSTALL = re.compile(
    r"import importlib\.util\n\n"
    r'if importlib\.util\.find_spec\("p2ptk"\) is None:\n    %pip install -q "p2ptk\[.*\n?'
)


def test_it_is_a_notebook_without_outputs() -> None:
    assert (PAGE["nbformat"], PAGE["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in PAGE["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in PAGE["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


def test_the_first_cell_installs_only_where_p2ptk_is_missing() -> None:
    """The one cell that is no Python: it is read here, since it can't run."""
    assert INSTALL.fullmatch(CODE[0])
    for cell in CODE[1:]:
        ast.parse(cell)


def test_what_the_text_names_is_there() -> None:
    text = "".join("".join(c["source"]) for c in PAGE["cells"] if c["cell_type"] == "markdown")
    for path in re.findall(r"`(docs/[\w./-]+)`", text):
        assert (NOTEBOOK.parents[1] / path).is_file(), path


@pytest.mark.slow
def test_its_cells_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("P2PTK_NOTEBOOK_STEPS", "2")
    names: dict[str, Any] = {"__name__": "__main__"}
    shown = [run_cell(cell, f"cell {i}", names) for i, cell in enumerate(CODE[1:], start=1)]

    pictures = [value for value in shown if isinstance(value, Image.Image)]
    assert len(pictures) == 4  # two sample sheets, the curves, a translation
    assert pictures[-1].size == (3 * 256, 256)
    assert names["outcome"].step == 2
    assert pictures[0].filename != pictures[1].filename  # type: ignore[attr-defined]
    said = capsys.readouterr().out
    assert re.search(r"^psnr +\d+\.\d{4}\nssim .*\nl1 ", said, re.MULTILINE)


def run_cell(text: str, where: str, names: dict[str, Any]) -> Any:
    """Run a cell as a kernel would; gives the value of a last line that is an expression."""
    body = ast.parse(text, where).body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), where, "exec"), names)
    if last is None:
        return None
    assert isinstance(last, ast.Expr)
    return eval(compile(ast.Expression(last.value), where, "eval"), names)
