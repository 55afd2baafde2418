"""Plugins: each alone, all or nothing, one line for a bad one."""

from __future__ import annotations

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from p2ptk import plugins
from p2ptk.components import Component, create, find
from p2ptk.errors import P2ptkError, UserError
from p2ptk.hooks import hookimpl
from p2ptk.plugins import Registry, configure, registry


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("P2PTK_PLUGINS", raising=False)
    monkeypatch.delenv("P2PTK_STRICT_PLUGINS", raising=False)
    yield
    configure(enabled=True, files=[])


def module(**content: Any) -> types.ModuleType:
    made = types.ModuleType("a_plugin")
    vars(made).update(content)
    return made


def generators(*names: str) -> Any:
    @hookimpl
    def p2ptk_generators() -> list[Component]:
        return [Component(name, "pkg.net:Net") for name in names]

    return p2ptk_generators


def load(*modules: types.ModuleType) -> tuple[Registry, plugins.Status]:
    made = Registry()
    return made, made.add("some-plugin", "1.2", lambda: list(modules))


def test_a_good_one() -> None:
    made, status = load(module(p2ptk_generators=generators("x")))
    assert status.status == "active"
    assert [p.qualified for p in made.of_kind("generator")] == ["some-plugin/x"]


def test_a_hook_written_as_a_generator_that_raises_half_way() -> None:
    @hookimpl
    def p2ptk_generators() -> Iterator[Component]:
        yield Component("x", "pkg.net:Net")
        raise RuntimeError("half-way")

    made, status = load(module(p2ptk_generators=p2ptk_generators))
    assert (status.status, status.provides) == ("failed", [])
    assert "half-way" in status.reason
    assert "RuntimeError" in status.trace
    assert made.of_kind("generator") == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"p2ptk_generator": generators("x")}, "did you mean 'p2ptk_generators'?"),
        ({"p2ptk_generators": list}, "lacks the @hookimpl decorator"),
        ({"p2ptk_generators": generators("x", "x")}, "provides the generator 'x' twice"),
        ({"P2PTK_API": 2, "p2ptk_generators": generators("x")}, "plugin API 2"),
    ],
)
def test_faults_are_named(content: dict[str, Any], reason: str) -> None:
    _, status = load(module(**content))
    assert reason in status.reason
    assert status.status == ("incompatible" if "API" in reason else "failed")


def test_something_else_than_a_component() -> None:
    @hookimpl
    def p2ptk_losses() -> list[Any]:
        return ["l1"]

    _, status = load(module(p2ptk_losses=p2ptk_losses))
    assert "no Component" in status.reason


def test_strict_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("P2PTK_STRICT_PLUGINS", "1")
    with pytest.raises(P2ptkError, match="hookimpl"):
        load(module(p2ptk_generators=list))


def test_one_failure_leaves_the_others() -> None:
    made, _ = load(module(p2ptk_generators=list))
    made.add("other", "1", lambda: [module(p2ptk_generators=generators("y"))])
    assert [p.name for p in made.of_kind("generator")] == ["y"]


def test_a_name_of_two_plugins_must_be_qualified(monkeypatch: pytest.MonkeyPatch) -> None:
    made, _ = load(module(p2ptk_generators=generators("same")))
    made.add("other", "1", lambda: [module(p2ptk_generators=generators("same"))])
    with monkeypatch.context() as patched:
        patched.setattr(plugins, "registry", lambda: made)
        with pytest.raises(UserError, match="write 'some-plugin/same' or 'other/same'"):
            find("generator", "same")
        assert find("generator", "other/same").distribution == "other"


def test_built_ins_stay_whatever_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("P2PTK_PLUGINS", "")
    registry.cache_clear()
    assert find("generator", "unet").distribution == "p2ptk"
    configure(enabled=False)
    assert find("generator", "unet").distribution == "p2ptk"


HOOKS_FILE = """
from p2ptk import Component, hookimpl

class Twice:
    \"\"\"Twice.\"\"\"
    def __init__(self, *, factor: float = 2.0) -> None:
        self.factor = factor
    def generator(self, t):
        return self.factor * (t.fake - t.target).abs().mean()

@hookimpl
def p2ptk_losses():
    yield Component("twice", Twice)
"""


def test_a_local_file_with_hooks(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(HOOKS_FILE)
    configure(files=[str(path)])
    found = find("loss", "twice")
    assert found.distribution == "local/mine"
    assert found.version.startswith("sha256:")
    assert create("loss", "twice:factor=3.0").factor == 3.0


def test_a_local_class(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(HOOKS_FILE)
    configure(files=[f"loss={path}:Twice"])
    assert create("loss", "Twice").factor == 2.0


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("{}/none.py", "there is no plugin file"),
        ("{}/empty.py", "provides nothing"),
        ("{}/broken.py", "can't be imported"),
        ("loss={}/empty.py:Twice", "has no 'Twice'"),
        ("lass={}/empty.py:Twice", "did you mean 'loss'"),
        ("{}/empty.txt", "FILE.py"),
    ],
)
def test_bad_local_files(tmp_path: Path, entry: str, sentence: str) -> None:
    (tmp_path / "empty.py").write_text("")
    (tmp_path / "broken.py").write_text("import no_such_thing")
    configure(files=[entry.format(tmp_path)])
    with pytest.raises(P2ptkError) as error:
        registry()
    assert sentence in str(error.value)
