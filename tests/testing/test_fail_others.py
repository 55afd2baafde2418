"""Trackers, launchers, recipes and commands that break one rule each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from p2ptk import Component, hookimpl
from p2ptk.plugins import registry
from p2ptk.testing import conformance

Fails = Callable[..., str]
SKIP = ["import-touches-nothing"]  # takes a process of its own for this file


class Lines:
    """A sound tracker."""

    def __init__(self, *, folder: Path) -> None:
        self.file = (folder / "lines.txt").open("a", encoding="utf-8")

    def scalars(self, step: int, values: Any) -> None:
        self.file.writelines(f"{step} {name} {value}\n" for name, value in values.items())

    def images(self, step: int, images: Any) -> None:
        assert all(image.ndim == 3 for image in images.values())

    def close(self) -> None:
        self.file.close()


def test_the_sound_tracker_passes() -> None:
    assert {r.status for r in conformance("tracker", Lines, skip=SKIP)} <= {"passed", "skipped"}


def test_trackers(fails: Fails) -> None:
    class Turns(Lines):
        def images(self, step: int, images: Any) -> None:
            assert all(image.shape[0] == 3 for image in images.values()), "channels come first"

    class Exclusive(Lines):
        def __init__(self, *, folder: Path) -> None:
            self.file = (folder / "lines.txt").open("x", encoding="utf-8")

    class Once(Lines):
        def close(self) -> None:
            self.file.write("end")
            super().close()

    assert "stops with AssertionError: channels come first" in fails("writes", "tracker", Turns)
    assert "FileExistsError" in fails("goes-on", "tracker", Exclusive)
    assert "close stops when called again (ValueError" in fails("closes-twice", "tracker", Once)


class InTurn:
    """A sound launcher."""

    def launch(self, jobs: Any) -> Iterator[Any]:
        for job in jobs:
            yield job()


def test_launchers(fails: Fails) -> None:
    class Drops(InTurn):
        def launch(self, jobs: Any) -> Iterator[Any]:
            yield from super().launch(jobs[1:])

    class Nothing(InTurn):
        def launch(self, jobs: Any) -> Any:
            return 3 if jobs else []

    class Elsewhere(InTurn):
        hands_over = True

        def launch(self, jobs: Any) -> Iterator[Any]:
            return iter(())

    class Both(InTurn):
        hands_over = True

    class Counts(InTurn):
        def launch(self, jobs: Any) -> Iterator[Any]:
            yield from range(len(jobs))

    conformance("launcher", InTurn, skip=SKIP)
    conformance("launcher", Elsewhere, skip=SKIP)
    assert "says that it hands_over, and gives results" in fails(
        "one-result-a-job", "launcher", Both
    )
    assert "does not give what the jobs give" in fails("one-result-a-job", "launcher", Counts)
    assert "gives 2 results of 3 jobs" in fails("one-result-a-job", "launcher", Drops)
    assert "launch gives int: give an iterator" in fails("one-result-a-job", "launcher", Nothing)


RECIPES = {
    "good": '[train]\nsteps = 5\n[generator]\nname = "unet"\nwidth = 8\n',
    "broken": "[train\n",
    "misspelt": "[train]\nstep = 5\n",
    "unknown": '[generator]\nname = "unett"\n',
}


@pytest.fixture
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    package = tmp_path / "recipes_to_check"
    package.mkdir()
    (package / "__init__.py").touch()
    for name, text in RECIPES.items():
        (package / f"{name}.toml").write_text(text, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))

    class Hooks:
        __name__ = "hooks"

        @hookimpl
        def p2ptk_recipes(self) -> list[Component]:
            names = [*RECIPES, "absent"]
            return [Component(f"{n}-recipe", f"recipes_to_check:{n}.toml", n) for n in names]

    known = registry()
    known.add("p2ptk-recipes", "1", lambda: [Hooks()])  # type: ignore[list-item]
    yield
    known.plugins = [s for s in known.plugins if s.distribution != "p2ptk-recipes"]


@pytest.mark.usefixtures("recipes")
def test_recipes(fails: Fails) -> None:
    conformance("recipe", "good-recipe")
    assert "broken.toml is no TOML" in fails("toml", "recipe", "broken-recipe")
    assert "is not there" in fails("toml", "recipe", "absent-recipe")
    assert "no option 'train.step'" in fails("resolves", "recipe", "misspelt-recipe")
    assert "there is no generator 'unett'" in fails("resolves", "recipe", "unknown-recipe")


@click.command()
@click.option("--times", default=1)
def greet(times: int) -> None:
    """Say hello."""


@click.command()
def silent() -> None:
    pass


@click.command()
@click.option("--help", required=True)
def unhelpful(help: str) -> None:
    """Never helps."""


def test_commands(fails: Fails) -> None:
    def plain() -> None: ...

    conformance("command", greet, skip=SKIP)
    assert "decorate the function with @click.command()" in fails(
        "is-click-command", "command", plain
    )
    assert "has no help text: write a docstring" in fails("helps", "command", silent)
    assert "--help ends with 2" in fails("helps", "command", unhelpful)


def test_a_command_of_a_name_that_is_taken(fails: Fails) -> None:

    taken = click.Command("run", help="Runs.")
    taken.__name__ = "run"  # type: ignore[attr-defined]
    assert "name of one of p2ptk's own commands" in fails("is-click-command", "command", taken)
