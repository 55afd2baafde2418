"""What may be loaded when: `import p2ptk` and the listing commands stay light."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import p2ptk

HEAVY = ("torch", "torchvision", "numpy", "PIL", "matplotlib", "jinja2", "scipy")


def loaded_after(code: str, *modules: str) -> list[str]:
    """Which of the modules a fresh interpreter has loaded once it ran some code."""
    script = f"{code}\nimport sys\nprint('\\n', *(m for m in {modules!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()


def test_importing_p2ptk_loads_nothing_heavy() -> None:
    assert loaded_after("import p2ptk", *HEAVY, "pydantic", "click", "rich") == []


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["components"], ["components", "--json"], ["plugins", "-v"]],
    ids=" ".join,
)
def test_listing_loads_no_torch(arguments: list[str]) -> None:
    code = f"""
from p2ptk.cli import main
try:
    main({arguments!r})
except SystemExit as ended:
    assert not ended.code, ended.code
"""
    assert loaded_after(code, *HEAVY) == []


def test_the_list_of_names_is_the_lazy_table() -> None:
    assert sorted(p2ptk.__all__) == sorted([*p2ptk._HOMES, "__version__"])
    assert list(p2ptk._HOMES) == sorted(p2ptk._HOMES)


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(p2ptk.__file__).read_text("utf-8"))
    guarded = next(
        node for node in tree.body if isinstance(node, ast.If) and "TYPE" in ast.dump(node.test)
    )
    seen = {
        alias.name: str(node.module)
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == {name: f"p2ptk.{home}" for name, home in p2ptk._HOMES.items()}


@pytest.mark.parametrize("name", sorted(p2ptk._HOMES))
def test_every_public_name_is_there(name: str) -> None:
    home = importlib.import_module(f"p2ptk.{p2ptk._HOMES[name]}")
    assert getattr(p2ptk, name) is getattr(home, name)
    assert name in dir(p2ptk)


def test_no_public_name_is_a_submodules() -> None:
    submodules = {module.name for module in pkgutil.iter_modules(p2ptk.__path__)}
    assert submodules & set(p2ptk.__all__) == set()


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        p2ptk.nothing  # noqa: B018


def test_the_commands_that_help_names_exist() -> None:
    from p2ptk.cli import COMMANDS

    for module, function, _ in COMMANDS.values():
        assert callable(getattr(importlib.import_module(module), function))
