"""`p2ptk check`: words for people, JSON for scripts, exit codes for both."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]

NET = """
import torch
from torch import nn


class Mine(nn.Module):
    "One convolution. width: of nothing."
    size_multiple = {multiple}

    def __init__(self, *, source_channels: int, target_channels: int, width: int = 1) -> None:
        super().__init__()
        self.mix = nn.Conv2d(source_channels, target_channels, 1)

    def forward(self, source):
        return torch.tanh(self.mix(source))
"""
HOOKS = """
from p2ptk import Component, hookimpl
P2PTK_API = 1

@hookimpl
def p2ptk_generators():
    yield Component("mine", "{module}:Mine", "one convolution")

@hookimpl
def p2ptk_datasets():
    yield Component("rows", "p2ptk.datasets.list:ListFile", "pairs in a list")
"""
PYPROJECT = """
[project]
name = "p2ptk-mine"
version = "1.0"
keywords = ["p2ptk-plugin"]
dependencies = ["p2ptk>=0.1"]
[project.entry-points.p2ptk]
mine = "mine_hooks"
"""


@pytest.fixture(autouse=True)
def no_import_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the process that imports modules beside torch: it has tests of its own."""
    from p2ptk.testing import every
    from p2ptk.testing.fresh import Import

    monkeypatch.setattr(every, "import_alone", lambda *names: Import())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plugin's project: a generator with a wrong size_multiple, and a dataset."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(PYPROJECT, "utf-8")
    (project / "mine_hooks.py").write_text(HOOKS.replace("{module}", "mine_net"), "utf-8")
    (project / "mine_net.py").write_text(NET.replace("{multiple}", "2"), "utf-8")
    for module in ("mine_hooks", "mine_net"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    return project


def test_a_component(command: Command) -> None:
    done = command("check", "metric", "psnr")
    assert done.code == 0
    assert done.out.startswith("metric psnr")
    assert "passed identical-images: psnr = 100 for identical images." in done.words
    assert done.words.endswith("13 passed. ")


def test_a_component_without_its_kind(command: Command) -> None:
    done = command("check", "jitter:mirror=false", "--json")
    assert (done.code, done.json["passed"]) == (0, True)
    first = done.json["results"][0]
    assert first["kind"] == "augmentation"
    assert first["component"] == "jitter:mirror=false"
    assert first["status"] == "passed"
    assert {"check", "sentence", "seconds"} <= first.keys()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["unet"], "'unet' is a generator and a discriminator; type `p2ptk check generator unet`"),
        (["unett"], "there is no plugin, and no component, 'unett': did you mean 'unet'?"),
        (["generator", "unett"], "there is no generator 'unett': did you mean 'unet'?"),
        (["generator"], "'generator' is a kind: type `p2ptk check generator NAME`."),
        (["no/such/folder"], "there is no folder 'no/such/folder'"),
        (["no_such.py"], "there is no plugin file 'no_such.py'"),
        (["--kind", "generatr", "unet"], "there is no kind 'generatr'"),
    ],
)
def test_bad_names(command: Command, arguments: list[str], sentence: str) -> None:
    done = command("check", *arguments)
    assert done.code == 2
    assert sentence in " ".join(done.err.split())


def test_a_project_folder(command: Command, folder: Path) -> None:
    done = command("check", folder)
    assert done.code == 1
    assert "plugin p2ptk-mine 9 passed" in done.words
    sentence = (
        "declares size_multiple = 2, but multiples of 1 work as well: declare size_multiple = 1."
    )
    assert f"failed size-multiple: Mine {sentence}" in done.words
    assert "dataset rows 1 skipped" in done.words
    assert "passed registered" not in done.words
    assert done.words.rstrip().endswith("skipped.")


def test_a_mended_one_passes(command: Command, folder: Path) -> None:
    (folder / "mine_net.py").write_text(NET.replace("{multiple}", "1"), "utf-8")
    done = command("check", folder, "--kind", "generator", "-v")
    assert done.code == 0
    assert "passed registered" in done.words
    assert "plugin p2ptk-mine" not in done.words
    assert command("check", folder, "--kind", "metric").code == 2


def test_what_a_project_says_its_components_are_checked_with(
    command: Command, folder: Path
) -> None:
    (folder / "pairs.csv").write_text("source,target\na.png,b.png\n", "utf-8")
    table = '[tool.p2ptk]\ncheck = ["dataset rows:path=pairs.csv", "generator mine:width=3"]\n'
    (folder / "pyproject.toml").write_text(PYPROJECT + table, "utf-8")
    done = command("check", folder)
    assert "generator mine:width=3" in done.words
    assert "failed builds: ListFile can't be built: pairs.csv: 1 problem a.png" in done.words


def test_a_local_file(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(NET.replace("{multiple}", "1") + HOOKS.replace("{module}", "mine_no"), "utf-8")
    done = command("check", file)
    assert done.code == 1
    assert "can't be imported: ModuleNotFoundError: No module named 'mine_no'" in done.words
    done = command("check", "generator", f"{file}:Mine:width=2")
    assert done.code == 0
    assert done.out.startswith("generator Mine:width=2")
