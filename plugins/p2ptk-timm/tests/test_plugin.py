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
from p2ptk import Spec, describe
from p2ptk_timm import plugin
from p2ptk_timm.names import models

ROOT = Path(__file__).parents[1]
HOOKS = [name for name in dir(plugin) if name.startswith("p2ptk_")]
COMPONENTS = [
    (name.removeprefix("p2ptk_").removesuffix("es" if name.endswith("sses") else "s"), component)
    for name in HOOKS
    for component in getattr(plugin, name)()
]


def test_hooks_load_neither_torch_nor_timm() -> None:
    code = f"import sys, p2ptk_timm.plugin as p\nfor h in {HOOKS}: list(getattr(p, h)())"
    heavy = "[m for m in ('torch', 'timm', 'numpy') if m in sys.modules]"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nprint({heavy})"], capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_imports_touch_neither_random_numbers_nor_a_gpu() -> None:
    code = f"""
import random, torch
kept = torch.get_rng_state(), random.getstate()
for target in {sorted({str(c.target).partition(":")[0] for _, c in COMPONENTS})}:
    __import__(target)
assert torch.equal(kept[0], torch.get_rng_state()) and kept[1] == random.getstate()
assert not torch.cuda.is_initialized()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("kind", "component"), COMPONENTS, ids=lambda x: getattr(x, "name", x))
def test_every_component_is_there_and_explained(kind: str, component: p2ptk.Component) -> None:
    target = component.load()
    assert component.summary
    assert target.__doc__
    for parameter in describe(kind, component.name)["parameters"]:
        named = rf"^\s*(?:\w+, )*{parameter['name']}(?:, \w+)*: "
        assert re.search(named, target.__doc__, re.MULTILINE), parameter["name"]


def test_model_names() -> None:
    names = models()
    assert len(names) > 1500
    assert names == sorted(names)
    assert {"resnet34", "resnet34.a1_in1k", "tf_efficientnet_lite0"} <= {*names}


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
    text = (ROOT / "README.md").read_text("utf-8")
    code = "".join(re.findall(r"```\n(.*?)```", text, re.DOTALL)).replace("\\\n", " ")
    kinds = {"-G": "generator", "-D": "discriminator", "-L": "loss", "-m": "metric"}
    specs = re.findall(r"(-[GDLm]) \+?(?:'([^']+)'|([\w:=.,/-]+))", code)
    ours = {component.name for _, component in COMPONENTS}
    named = [(kinds[flag], Spec.parse(quoted or plain)) for flag, quoted, plain in specs]
    assert {spec.name for _, spec in named} >= ours - {"timm"}
    for kind, spec in named:
        p2ptk.describe(kind, spec.name)
        known = {p["name"] for p in describe(kind, spec.name)["parameters"]} | {"weight"}
        assert {*spec.params} <= known, str(spec)
        for nested in (v for v in spec.params.values() if isinstance(v, Spec)):
            known = {p["name"] for p in describe("encoder", nested.name)["parameters"]}
            assert {*nested.params} <= known, str(nested)


def test_the_readme_lists_every_component() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert not [c.name for _, c in COMPONENTS if f"| `{c.name}` |" not in text]
