"""Real distributions, good and bad, installed side by side, and the real command among them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GOOD = {
    "pyproject.toml": """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "p2ptk-good"
version = "1.2"
dependencies = ["p2ptk"]
[project.entry-points.p2ptk]
hooks = "p2ptk_good.plugin"
[tool.hatch.build.targets.wheel]
packages = ["p2ptk_good"]
""",
    "p2ptk_good/__init__.py": "",
    "p2ptk_good/plugin.py": """
from p2ptk import Component, hookimpl

P2PTK_API = 1

@hookimpl
def p2ptk_generators():
    yield Component("pixelwise", "p2ptk_good.net:Pixelwise", "one 1x1 convolution")

@hookimpl
def p2ptk_commands():
    yield Component("greet", "p2ptk_good.cli:greet", "say hello")
    yield Component("broken", "p2ptk_good.cli:no_such_function")
    yield Component("plugins", "p2ptk_good.cli:greet", "not p2ptk's own")
""",
    "p2ptk_good/net.py": """
import torch

class Pixelwise(torch.nn.Module):
    "One 1x1 convolution."
    size_multiple = 1

    def __init__(self, *, source_channels: int, target_channels: int, bias: bool = True) -> None:
        super().__init__()
        self.mix = torch.nn.Conv2d(source_channels, target_channels, 1, bias=bias)

    def forward(self, source):
        return self.mix(source).tanh()
""",
    "p2ptk_good/cli.py": """
import click

@click.command()
def greet():
    click.echo("hello")
""",
}

HEAD = "from p2ptk import Component, hookimpl\n"
HOOK = HEAD + "@hookimpl\ndef p2ptk_generators():\n"
SAME = HOOK + "    yield Component('same', 'p2ptk_good.net:Pixelwise')\n"

# Source of the module of hooks; every entry point is called `hooks`, as p2ptk-good's is.
OTHERS = {
    ("p2ptk-half-way", "2.0"): HOOK
    + "    yield Component('half', 'a:B')\n    raise RuntimeError('no\\nluck')\n",
    ("p2ptk-import-error", "0.3"): "import no_such_module_at_all\n",
    ("p2ptk-misspelt", "1"): SAME.replace("p2ptk_generators", "p2ptk_generator"),
    ("p2ptk-newer", "7"): "P2PTK_API = 99\n",
    ("p2ptk-no-hooks", "1"): "x = 1\n",
    ("p2ptk-nothing", "1"): HOOK + "    Component('forgotten', 'a:B')\n",
    ("p2ptk-old", "0.1"): "P2PTK_API = 0\n" + SAME,
    ("p2ptk-quits", "1"): "import sys\nprint('not JSON')\nsys.exit(3)\n",
    ("p2ptk-same-a", "1"): SAME,
    ("P2PTK_Same.B", "2"): SAME,
    ("p2ptk-shadow", "1"): SAME.replace("'same'", "'unet'"),
    ("p2ptk-slow", "1"): "import time\ntime.sleep(0.3)\n" + SAME.replace("same", "slow"),
    ("p2ptk-twice", "1"): SAME + SAME.splitlines(keepends=True)[-1],
    ("p2ptk-undecorated", "1"): SAME.replace("@hookimpl\n", ""),
}

REASONS = {
    "p2ptk-half-way": "RuntimeError: no luck",
    "p2ptk-import-error": "ModuleNotFoundError: No module named 'no_such_module_at_all'",
    "p2ptk-misspelt": "it has an unknown hook 'p2ptk_generator': did you mean 'p2ptk_generators'?",
    "p2ptk-newer": "it was written for plugin API 99, this p2ptk speaks 1: upgrade p2ptk",
    "p2ptk-no-hooks": "its entry point names 'hooks_of_p2ptk_no_hooks', which has no p2ptk_* "
    "function: name the module that holds the hooks",
    "p2ptk-nothing": "its hook 'p2ptk_generators' gave nothing: `yield` or `return` its components",
    "p2ptk-old": "it was written for plugin API 0, this p2ptk speaks 1: upgrade the plugin",
    "p2ptk-quits": "SystemExit: 3",
    "p2ptk-twice": "it provides the generator 'same' twice",
    "p2ptk-undecorated": "its hook 'p2ptk_generators' lacks the @hookimpl decorator",
}
INCOMPATIBLE = {"p2ptk-newer", "p2ptk-old"}
ACTIVE = {
    "p2ptk-good": {"generator": ["pixelwise"], "command": ["greet", "broken", "plugins"]},
    "p2ptk-same-a": {"generator": ["same"]},
    "p2ptk-same-b": {"generator": ["same"]},
    "p2ptk-shadow": {"generator": ["unet"]},
    "p2ptk-slow": {"generator": ["slow"]},
}

P2ptk = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like site-packages: one wheel, built and installed, and unpacked distributions."""
    site, project = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("p2ptk-good")
    for name, text in GOOD.items():
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text(text, "utf-8")
    install = "pip install --offline --no-deps --no-build-isolation --quiet --target"
    command = [sys.executable, "-m", "uv", *install.split(), str(site), str(project)]
    subprocess.run([*command, "--python", sys.executable], check=True, text=True)

    for (name, version), source in OTHERS.items():
        plain = re.sub(r"[-.]", "_", name.lower())
        about = site / f"{plain}-{version}.dist-info"
        about.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (about / "METADATA").write_text(metadata, "utf-8")
        (about / "entry_points.txt").write_text(f"[p2ptk]\nhooks = hooks_of_{plain}\n", "utf-8")
        (site / f"hooks_of_{plain}.py").write_text(source, "utf-8")
    # What a removal that was cut off leaves behind.
    (site / "torn-1.dist-info").mkdir()
    (site / "torn-1.dist-info" / "entry_points.txt").write_text("[p2ptk]\nhooks = torn\n", "utf-8")
    return site


@pytest.fixture(scope="module")
def p2ptk(site: Path, tmp_path_factory: pytest.TempPathFactory) -> P2ptk:
    """The real command where those are installed: p2ptk("plugins", P2PTK_STRICT_PLUGINS="1")."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("P2PTK_")}
    clean |= {"PYTHONPATH": str(site), "COLUMNS": "250", "OMP_NUM_THREADS": "1"}

    def call(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "p2ptk", *map(str, arguments)],
            env=clean | environment,
            cwd=tmp_path_factory.getbasetemp(),
            capture_output=True,
            text=True,
            check=False,
        )

    return call


def by_name(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    return {row["distribution"]: row for row in json.loads(done.stdout)}


def lines_about_plugins(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stderr.splitlines() if " did not load: " in line]


def test_each_is_loaded_alone_and_what_became_of_it_is_listed(p2ptk: P2ptk) -> None:
    done = p2ptk("plugins", "--json")
    assert done.returncode == 0
    rows = by_name(done)
    assert {"p2ptk", *ACTIVE, *REASONS} <= rows.keys()
    for name, provides in ACTIVE.items():
        assert rows[name]["status"] == "active", rows[name]
        assert rows[name]["provides"] == provides
    for name, reason in REASONS.items():
        assert rows[name]["status"] == ("incompatible" if name in INCOMPATIBLE else "failed")
        assert rows[name]["reason"] == reason
        assert rows[name]["provides"] == {}
        assert rows[name]["traceback"].startswith("Traceback")
    assert rows["p2ptk-slow"]["seconds"] >= 0.3 > rows["p2ptk-good"]["seconds"]

    # One line for each bad one; what a plugin prints goes there too, not into the JSON.
    versions = dict(iter(OTHERS))
    expected = [f"plugin {n} {versions[n]} did not load: {r}" for n, r in REASONS.items()]
    assert lines_about_plugins(done) == expected
    assert set(done.stderr.splitlines()) == {*expected, "not JSON"}


def test_for_people_too(p2ptk: P2ptk) -> None:
    done = p2ptk("plugins", "-v")
    assert done.returncode == 0
    rows = {line.split()[0]: line.split() for line in done.stdout.splitlines() if line.strip()}
    assert rows["p2ptk-good"][1:5] == ["1.2", "active", "generator:", "pixelwise"]
    assert rows["p2ptk-old"][1:3] == ["0.1", "incompatible"]
    assert rows["p2ptk-twice"][1:3] == ["1", "failed"]
    assert float(rows["p2ptk-slow"][-1]) >= 0.3
    assert "RuntimeError: no\nluck" in done.stderr
    assert len(re.findall("^Traceback", done.stderr, re.MULTILINE)) == len(REASONS)


def test_names_that_several_have(p2ptk: P2ptk) -> None:
    listed = json.loads(p2ptk("components", "generators", "--json").stdout)
    names = [row["name"] for row in listed]
    for name in ("unet", "p2ptk-shadow/unet", "pixelwise", "p2ptk-same-a/same", "slow"):
        assert names.count(name) == 1
    assert next(row for row in listed if row["name"] == "unet")["distribution"] == "p2ptk"
    assert "same" not in names

    done = p2ptk("show", "generator", "same")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "error: 2 plugins provide the generator 'same': write 'p2ptk-same-a/same' or "
        "'p2ptk-same-b/same'."
    )


def test_a_wrong_name_is_answered_by_the_nearest_and_by_what_did_not_load(p2ptk: P2ptk) -> None:
    done = p2ptk("show", "generator", "pixelwize")
    assert done.returncode == 2
    answer = done.stderr.splitlines()[-1]
    start = "error: there is no generator 'pixelwize': did you mean 'pixelwise'? "
    assert answer.startswith(start + "Plugins that did not load: p2ptk-half-way (RuntimeError: no ")
    assert all(name in answer for name in REASONS)


def test_training_goes_on_among_the_bad(p2ptk: P2ptk, pairs: Path, tmp_path: Path) -> None:
    run = f"run -G p2ptk-same-b/same -d {pairs} --size 32 --steps 1 -D none -L l1 --device cpu -o"
    done = p2ptk(*run.split(), tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert len(lines_about_plugins(done)) == len(REASONS)
    written = (tmp_path / "run" / "run.toml").read_text("utf-8")
    assert 'name = "p2ptk-same-b/same"' in written
    assert '"generator/p2ptk-same-b/same" = "p2ptk-same-b 2"' in written


def test_an_allow_list(p2ptk: P2ptk) -> None:
    done = p2ptk("plugins", "--json", P2PTK_PLUGINS="P2PTK_good, p2ptk.old p2ptk-goof")
    rows = by_name(done)
    assert rows["p2ptk-good"]["status"] == "active"
    assert rows["p2ptk-old"]["status"] == "incompatible"
    assert rows["p2ptk-same-a"]["status"] == rows["p2ptk-quits"]["status"] == "disabled"
    assert rows["p2ptk-quits"]["reason"] == "disabled: P2PTK_PLUGINS does not list it"
    assert done.stderr.splitlines() == [
        f"plugin p2ptk-old 0.1 did not load: {REASONS['p2ptk-old']}",
        "P2PTK_PLUGINS lists 'p2ptk-goof', which is no plugin installed here: "
        "did you mean 'p2ptk-good'?",
    ]


@pytest.mark.parametrize(
    "arguments", [["--no-plugins", "components"], ["components", "--no-plugins"]]
)
def test_none_at_all(p2ptk: P2ptk, arguments: list[str]) -> None:
    done = p2ptk(*arguments, "generators", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert {row["distribution"] for row in json.loads(done.stdout)} == {"p2ptk"}


def test_strict_makes_a_bad_one_an_error(p2ptk: P2ptk) -> None:
    done = p2ptk("components", P2PTK_STRICT_PLUGINS="1", P2PTK_PLUGINS="p2ptk-good,p2ptk-twice")
    assert (done.returncode, done.stdout) == (1, "")
    reason = REASONS["p2ptk-twice"]
    assert done.stderr == f"error: plugin p2ptk-twice 1 did not load: {reason}\n"


@pytest.mark.parametrize(
    ("words", "code", "answer"),
    [
        ("greet", 0, "hello"),
        ("p2ptk-good/plugins", 0, "hello"),
        ("broken", 1, "error: the command 'broken' of p2ptk-good 1.2 can't be imported: "),
        ("gret", 2, "Error: there is no command 'gret': did you mean 'greet'?"),
    ],
)
def test_commands(p2ptk: P2ptk, words: str, code: int, answer: str) -> None:
    done = p2ptk(words, P2PTK_PLUGINS="p2ptk-good")
    assert done.returncode == code
    assert (done.stdout or done.stderr).startswith(answer)
