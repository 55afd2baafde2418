"""The distribution: light to list, and built on p2ptk's public names alone."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

import p2ptk
from p2ptk import create, describe
from p2ptk_ray import plugin

ROOT = Path(__file__).parents[1]


def test_hooks_load_neither_torch_nor_ray() -> None:
    code = "import sys, p2ptk_ray.plugin as p; list(p.p2ptk_launchers())"
    heavy = "[m for m in ('torch', 'ray', 'numpy') if m in sys.modules]"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; print({heavy})"], capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_naming_it_does_not_load_ray() -> None:
    code = "import sys; from p2ptk_ray.launcher import Ray; print('ray' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


def test_every_parameter_is_explained() -> None:
    [component] = plugin.p2ptk_launchers()
    target = component.load()
    assert target.__doc__
    parameters = [each["name"] for each in describe("launcher", "ray")["parameters"]]
    assert parameters == ["address", "cpus", "gpus", "workers", "retries", "wait"]
    readme = (ROOT / "README.md").read_text("utf-8")
    for name in parameters:
        assert re.search(rf"^\s*{name}: ", target.__doc__, re.MULTILINE), name
        assert f"| `{name}" in readme, name


def imports_of(path: Path) -> Iterator[tuple[str, str]]:
    """(module, name) of everything that a file takes from p2ptk."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "p2ptk":
            yield from ((str(node.module), alias.name) for alias in node.names)
        if isinstance(node, ast.Import):
            yield from ((a.name, "") for a in node.names if a.name.split(".")[0] == "p2ptk")


def test_only_public_names_of_p2ptk_are_used() -> None:
    files = [*ROOT.glob("src/**/*.py"), *ROOT.glob("tests/*.py")]
    assert len(files) >= 10
    for path in files:
        for module, name in imports_of(path):
            public = module == "p2ptk" and name in ("", *p2ptk.__all__)
            assert public or module == "p2ptk.testing", f"{path.name}: {module} {name}"


@pytest.mark.skipif(not find_spec("ray"), reason="Ray is not installed")
def test_the_specs_in_the_readme_are_good() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    specs = {spec.strip("'") for spec in re.findall(r"--launcher ('?ray[^\s`]*)", text)}
    assert len(specs) >= 5
    for spec in specs:
        create("launcher", spec)
