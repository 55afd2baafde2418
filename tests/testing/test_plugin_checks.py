"""Whole plugins, checked from their project folders without being installed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from p2ptk import UserError
from p2ptk.plugins import registry
from p2ptk.testing.common import run_all
from p2ptk.testing.outcomes import Result
from p2ptk.testing.project import installed, project

PYPROJECT = """
[project]
name = "p2ptk-{name}"
version = "0.3"
keywords = ["p2ptk-plugin"]
dependencies = ["p2ptk>=0.1"]
[project.entry-points.p2ptk]
{name} = "p2ptk_{name}.plugin"
[tool.p2ptk]
check = ["loss {name}:gain=2.0"]
"""
PLUGIN = """
from p2ptk import Component, hookimpl

P2PTK_API = 1

@hookimpl
def p2ptk_losses():
    yield Component("{name}", "p2ptk_{name}.loss:Loss", "a loss")
"""
LOSS = '''
class Loss:
    """A loss.

    gain: factor.
    """

    def __init__(self, *, gain: float = 1.0) -> None:
        self.gain = gain

    def generator(self, t):
        return self.gain * (t.fake - t.target).abs().mean()
'''
# As an import of torch would, but at once.
LIKE_TORCH = "\nimport sys\nsys.modules.setdefault('torch', sys)\n"
Made = Callable[..., dict[str, Result]]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """write("name", **{"plugin.py": source, ...}): a project folder. Sources may hold {name}."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = registry()
    before = list(known.plugins)

    def make(name: str, **files: str) -> Path:
        folder = tmp_path / name
        package = folder / "src" / f"p2ptk_{name}"
        package.mkdir(parents=True)
        sources = {"__init__.py": "", "plugin.py": PLUGIN, "loss.py": LOSS} | files
        (folder / "pyproject.toml").write_text(
            sources.pop("pyproject.toml", PYPROJECT).replace("{name}", name), "utf-8"
        )
        for file, source in sources.items():
            (package / file).write_text(source.replace("{name}", name), "utf-8")
        return folder

    yield make
    known.plugins = before


@pytest.fixture
def checked(write: Callable[..., Path]) -> Made:
    """How the checks of a written plugin ended, by their names."""

    def check(name: str, **files: str) -> dict[str, Result]:
        with project(write(name, **files)) as plugin:
            return {r.check: r for r in run_all(plugin)}

    return check


def test_a_sound_plugin(checked: Made) -> None:
    results = checked("sound")
    assert {r.status for r in results.values()} == {"passed"}
    assert results["loads"].sentence == "1 components."
    assert results["entry-point"].sentence == "p2ptk_sound.plugin"


def test_its_components_are_checked_with_what_the_project_says(
    write: Callable[..., Path],
) -> None:
    with project(write("told")) as plugin:
        assert Path.cwd() == plugin.root
        assert [str(plugin.spec_of(p)) for p in plugin.provides] == ["told:gain=2.0"]


@pytest.mark.parametrize(
    ("name", "check", "old", "new", "sentence"),
    [
        ("pointless", "entry-point", '[project.entry-points.p2ptk]\n{name} = "p2ptk_{name}.plugin"',
         "", 'with pointless = "p2ptk_pointless.plugin" to pyproject.toml'),
        ("unkeyed", "published-name", '"p2ptk-plugin"', '"images"', "lacks the keyword"),
        ("unnamed", "published-name", 'name = "p2ptk-', 'name = "my-', "begin with 'p2ptk-'"),
        ("alone", "requires-p2ptk", '"p2ptk>=0.1"', '"torch"', "add 'p2ptk>=0.1'"),
        ("loose", "requires-p2ptk", '"p2ptk>=0.1"', '"p2ptk"', "write the oldest"),
    ],
)  # fmt: skip
def test_projects(checked: Made, name: str, check: str, old: str, new: str, sentence: str) -> None:
    assert old in PYPROJECT
    result = checked(name, **{"pyproject.toml": PYPROJECT.replace(old, new)})[check]
    assert result.status in ("failed", "warning")
    assert sentence in result.sentence


@pytest.mark.parametrize(
    ("name", "check", "change", "sentence"),
    [
        ("undecorated", "loads", lambda s: s.replace("@hookimpl\n", ""), "lacks the @hookimpl"),
        ("misspelt", "loads", lambda s: s.replace("losses", "loses"), "did you mean"),
        ("empty", "loads", lambda s: s.replace("yield Component", "return [] and"), "nothing"),
        ("raising", "loads", lambda s: s + "\nraise ValueError('no')\n", "ValueError: no"),
        ("apiless", "states-api", lambda s: s.replace("P2PTK_API = 1", ""), "P2PTK_API = 1 below"),
        ("heavy", "light", lambda s: s + LIKE_TORCH, "loads torch, which every p2ptk"),
        ("slow", "light", lambda s: s + "\nimport time\ntime.sleep(0.6)\n", "imports light"),
        ("eager", "lazy-targets", lambda s: s.replace('"p2ptk_{name}.loss:Loss"', "_Loss").replace(
            "P2PTK_API = 1", "P2PTK_API = 1\nfrom p2ptk_{name}.loss import Loss as _Loss"),
         "target='p2ptk_eager.loss:Loss'"),
        ("shadowing", "own-names", lambda s: s.replace('Component("{name}"', 'Component("l1"'),
         "people must type 'p2ptk-shadowing/l1'"),
    ],
)  # fmt: skip
def test_hooks(
    checked: Made, name: str, check: str, change: Callable[[str], str], sentence: str
) -> None:
    result = checked(name, **{"plugin.py": change(PLUGIN)})[check]
    assert result.status in ("failed", "warning")
    assert sentence in result.sentence


def test_a_package_that_imports_everything(checked: Made) -> None:
    result = checked("greedy", **{"__init__.py": '"""All."""\n\nfrom p2ptk_greedy import loss\n'})
    assert "__init__.py imports in line 3" in result["empty-init"].sentence
    documented = checked("modest", **{"__init__.py": '"""A plugin."""\n__version__ = "0.3"\n'})
    assert documented["empty-init"].status == "passed"


def test_folders_that_are_no_projects(tmp_path: Path) -> None:
    for text, sentence in (
        (None, "holds no pyproject.toml"),
        ("[project", "can't be read as TOML"),
        ("[tool.x]\n", "names no project"),
        ('[project]\nname = "x"\n[tool.p2ptk]\ncheck = ["l1"]\n', "lists 'KIND SPEC', not 'l1'"),
    ):
        if text is not None:
            (tmp_path / "pyproject.toml").write_text(text, "utf-8")
        with pytest.raises(UserError, match=sentence), project(tmp_path):
            pass


def test_the_built_in_plugin_passes() -> None:
    plugin = installed("p2ptk")
    assert plugin is not None
    assert {r.status for r in run_all(plugin)} <= {"passed", "skipped"}
    assert installed("p2ptk-nowhere") is None
