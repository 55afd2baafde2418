from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

import p2ptk

Command = Callable[..., Any]


def by_name(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["distribution"]: row for row in rows}


@pytest.mark.usefixtures("two_plugins")
def test_each_plugin_and_what_became_of_it(command: Command) -> None:
    done = command("plugins")
    assert done.code == 0
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in done.out.splitlines() if line}
    counts = r" active \d+ generators, \d+ encoders?, \d+ discriminators, \d+ losses, "
    assert re.match(re.escape(p2ptk.__version__) + counts, rows["p2ptk"])
    assert rows["p2ptk-good"] == "1.2 active 2 generators, 1 launcher"
    assert rows["p2ptk-bad"].startswith("0.3 failed ModuleNotFoundError: No module named 'no_such")
    assert "-v shows the tracebacks" in done.out
    assert "Traceback" not in done.out


@pytest.mark.usefixtures("two_plugins")
def test_verbose_names_the_parts_and_the_time(command: Command) -> None:
    words = command("plugins", "-v").words
    assert "generator: oasis, unet" in words
    assert "launcher: cluster" in words
    assert "seconds" in words


@pytest.mark.usefixtures("two_plugins")
def test_json(command: Command) -> None:
    rows = by_name(command("plugins", "--json").json)
    assert rows["p2ptk-good"]["provides"] == {
        "generator": ["oasis", "unet"],
        "launcher": ["cluster"],
    }
    assert rows["p2ptk-good"]["status"] == "active"
    assert rows["p2ptk-good"]["seconds"] >= 0
    assert rows["p2ptk-bad"]["provides"] == {}
    assert "no_such_module_at_all" in rows["p2ptk-bad"]["reason"]
    assert rows["p2ptk-bad"]["traceback"].startswith("Traceback")
    assert {"pix2pix", "pix2pix-paper", "quick"} <= set(rows["p2ptk"]["provides"]["recipe"])


@pytest.mark.usefixtures("two_plugins")
def test_switched_off(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = by_name(command("plugins", "--no-plugins", "--json").json)
    assert rows["p2ptk-good"]["status"] == rows["p2ptk-bad"]["status"] == "disabled"
    assert rows["p2ptk-good"]["reason"] == "disabled: --no-plugins"
    assert rows["p2ptk"]["status"] == "active"

    monkeypatch.setenv("P2PTK_PLUGINS", "p2ptk_good")
    rows = by_name(command("plugins", "--json").json)
    assert rows["p2ptk-good"]["status"] == "active"
    assert rows["p2ptk-bad"]["reason"] == "disabled: P2PTK_PLUGINS does not list it"


def test_a_plugin_for_another_contract(plugin: Callable[..., None], command: Command) -> None:
    plugin("p2ptk-new", "7.0", "P2PTK_API = 99\n")
    row = by_name(command("plugins", "--json").json)["p2ptk-new"]
    assert row["status"] == "incompatible"
    assert "upgrade p2ptk" in row["reason"]
    assert "p2ptk-new 7.0 incompatible it was written for plugin API 99" in command("plugins").words
