"""`p2ptk cache`: what is kept, and how to be rid of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from p2ptk.contracts import Side
from p2ptk.datasets.filepairs import Entry, FileSplit
from p2ptk.datasets.write import write_image
from p2ptk.pairs import cache as cache_module
from p2ptk.pairs.cache import Cache


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two kept splits: "first" and "second"."""
    monkeypatch.setenv("P2PTK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("P2PTK_CACHE_SIZE", "2GB")
    monkeypatch.setattr(cache_module, "seconds_to_decode", lambda split, workers: 9.0)
    write_image(tmp_path / "a.png", torch.zeros(3, 8, 8, dtype=torch.uint8))
    entry = Entry("a", tmp_path / "a.png", tmp_path / "a.png", (8, 4))
    split = FileSplit((entry,), Side(), Side())
    made = [Cache({"n": n}, title) for n, title in enumerate(("first", "second"))]
    assert all(cache.open(split) for cache in made)
    return [str(cache.key(split)) for cache in made]


def test_the_list(command: Callable[..., Any], keys: list[str], tmp_path: Path) -> None:
    done = command("cache")
    assert done.code == 0
    for word in (*keys, "first", "second", f"2 entries, 0 MB of 2.0 GB, {tmp_path}"):
        assert word in done.words
    found = command("cache", "--json").json
    assert (found["limit"], found["folder"]) == (2 * 10**9, str(tmp_path / "cache" / "pairs"))
    assert found["bytes"] == sum(entry["bytes"] for entry in found["entries"]) > 2 * 192
    entries = {entry["dataset"]: entry for entry in found["entries"]}
    assert entries["first"]["key"] == keys[0]
    assert entries["first"]["pairs"] == 1
    assert entries["first"]["used"].endswith("Z")
    assert Path(entries["first"]["path"]).is_dir()


def test_nothing_is_kept_yet(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("P2PTK_CACHE", str(tmp_path / "none"))
    assert command("cache").out.startswith("0 entries, 0 MB of ")
    assert command("cache", "--json").json["entries"] == []
    assert command("cache", "clear", "--all").out == "deleted 0 entries, 0 MB\n"
    assert not (tmp_path / "none").exists()


def test_clearing_one_and_all(command: Callable[..., Any], keys: list[str]) -> None:
    done = command("cache", "clear", keys[0][:6], "--json")
    assert done.json["deleted"] == [keys[0]]
    assert [e["key"] for e in command("cache", "--json").json["entries"]] == [keys[1]]
    assert command("cache", "clear", "--all", "-v").out == "deleted 1 entry, 0 MB\n"
    assert command("cache", "--json").json["entries"] == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["clear"], "say what to delete"),
        (["clear", "abc", "--all"], "say what to delete"),
        (["clear", "nonsense"], "no key of the cache begins with 'nonsense'"),
        (["clear", ""], "2 keys begin with ''"),
        (["cleer"], "No such command 'cleer'"),
    ],
)
def test_wrong_input(
    command: Callable[..., Any], keys: list[str], arguments: list[str], sentence: str
) -> None:
    done = command("cache", *arguments)
    assert done.code == 2
    assert sentence in done.err
    assert len(command("cache", "--json").json["entries"]) == 2


def test_a_wrong_size_is_named(
    command: Callable[..., Any], keys: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("P2PTK_CACHE_SIZE", "much")
    done = command("cache")
    assert done.code == 2
    assert "P2PTK_CACHE_SIZE='much' is no size: write 500MB or 20GB." in done.err
