"""The distribution: light to list, and built on p2ptk's public names alone."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import p2ptk
from p2ptk import Spec, create, describe
from p2ptk_kornia import plugin

ROOT = Path(__file__).parents[1]
COMPONENTS = list(plugin.p2ptk_augmentations())


def test_hooks_load_neither_torch_nor_kornia() -> None:
    code = "import sys, p2ptk_kornia.plugin as p; list(p.p2ptk_augmentations())"
    heavy = "[m for m in ('torch', 'kornia', 'numpy', 'PIL') if m in sys.modules]"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; print({heavy})"], capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_imports_touch_neither_random_numbers_nor_a_gpu() -> None:
    code = f"""
import random, numpy, torch
kept = torch.get_rng_state(), random.getstate(), numpy.random.get_state()[1].copy()
for target in {[str(c.target).partition(":")[0] for c in COMPONENTS]}:
    __import__(target)
assert torch.equal(kept[0], torch.get_rng_state()) and kept[1] == random.getstate()
assert (kept[2] == numpy.random.get_state()[1]).all() and not torch.cuda.is_initialized()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda c: c.name)
def test_every_component_is_there_and_explained(component: p2ptk.Component) -> None:
    target = component.load()
    assert component.summary
    assert target.__doc__
    for parameter in describe("augmentation", component.name)["parameters"]:
        named = rf"^\s*(?:\w+, )*{parameter['name']}(?:, \w+)*: "
        assert re.search(named, target.__doc__, re.MULTILINE), parameter["name"]


def imports_of(path: Path) -> Iterator[tuple[str, str]]:
    """(module, name) of everything that a file takes from p2ptk."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "p2ptk":
            yield from ((str(node.module), alias.name) for alias in node.names)
        if isinstance(node, ast.Import):
            yield from ((a.name, "") for a in node.names if a.name.split(".")[0] == "p2ptk")


def test_only_public_names_of_p2ptk_are_used() -> None:
    files = [*ROOT.glob("src/**/*.py"), *ROOT.glob("tests/*.py")]
    assert len(files) > 20
    for path in files:
        for module, name in imports_of(path):
            public = module == "p2ptk" and name in ("", *p2ptk.__all__)
            assert public or module == "p2ptk.testing", f"{path.name}: {module} {name}"


def test_the_specs_in_the_readme_are_good() -> None:
    text = (ROOT / "README.md").read_text("utf-8").replace("\\\n", " ")
    specs = re.findall(r"-A \+?'([^']+)'|-A \+?([\w:=.\[\],-]+)", text)
    named = {quoted or plain for quoted, plain in specs} - {"jitter"}
    assert len(named) >= 8
    for spec in named:
        create("augmentation", Spec.parse(spec).without("stage"))


def test_the_readme_lists_every_component() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert not [c.name for c in COMPONENTS if f"| `{c.name}` |" not in text]
