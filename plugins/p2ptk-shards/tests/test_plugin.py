"""The distribution: what it provides, and what it takes from p2ptk."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import p2ptk
from p2ptk_shards import plugin

ROOT = Path(__file__).parents[1]


def imports_of(path: Path) -> Iterator[tuple[str, str]]:
    """(module, name) of everything that a file takes from p2ptk."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "p2ptk":
            yield from ((str(node.module), alias.name) for alias in node.names)
        if isinstance(node, ast.Import):
            yield from ((a.name, "") for a in node.names if a.name.split(".")[0] == "p2ptk")


def test_only_public_names_of_p2ptk_are_used() -> None:
    files = [*ROOT.glob("src/**/*.py")]
    assert len(files) >= 10
    for path in files:
        for module, name in imports_of(path):
            assert module == "p2ptk", f"{path.name}: {module} {name}"
            assert name in ("", *p2ptk.__all__), f"{path.name}: {module} {name}"


def test_what_it_provides() -> None:
    assert [c.name for c in plugin.p2ptk_datasets()] == ["webdataset", "hf"]
    assert [c.name for c in plugin.p2ptk_commands()] == ["shards"]


def test_listing_loads_nothing_heavy() -> None:
    code = (
        "import sys, p2ptk_shards.plugin as p; list(p.p2ptk_datasets()); list(p.p2ptk_commands());"
        "print([m for m in ('torch', 'datasets', 'webdataset', 'fsspec', 'pyarrow') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
