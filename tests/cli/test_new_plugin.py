"""New plugins: their names, their files, and that each kind works once built and installed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from p2ptk.contracts import KINDS
from p2ptk.errors import UserError
from p2ptk.plugins import registry
from p2ptk.scaffold import Names, name_plugin, write, write_plugin

ROOT = Path(__file__).parents[2]
Command = Callable[..., Any]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    registry.cache_clear()


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_what_is_written_and_said(command: Command, tmp_path: Path) -> None:
    done = command("new-plugin", "p2ptk-oasis")
    assert (done.code, done.err) == (0, "")
    folder = tmp_path / "p2ptk-oasis"
    assert files(folder) == [
        ".github/workflows/ci.yml",
        ".github/workflows/publish.yml",
        ".gitignore",
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "src/p2ptk_oasis/__init__.py",
        "src/p2ptk_oasis/net.py",
        "src/p2ptk_oasis/plugin.py",
        "src/p2ptk_oasis/py.typed",
        "tests/test_conformance.py",
    ]
    assert done.out.splitlines()[-4:] == [
        "next:",
        "  pip install -e './p2ptk-oasis[test]'",
        "  pytest p2ptk-oasis",
        "  p2ptk run --recipe quick -G oasis --steps 20",
    ]
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["name"] == "p2ptk-oasis"
    assert project["keywords"] == ["p2ptk-plugin"]
    assert project["dependencies"] == ["p2ptk>=0.1"]
    assert project["entry-points"]["p2ptk"] == {"oasis": "p2ptk_oasis.plugin"}
    assert project["description"].startswith("A generator for p2ptk")
    assert (folder / "src/p2ptk_oasis/__init__.py").read_bytes() == b""
    assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_several_kinds_and_another_folder(command: Command, tmp_path: Path) -> None:
    kinds = ["--kind", "losses", "--kind", "encoder", "--kind", "loss"]
    done = command("new-plugin", "Sharp_Edges", *kinds, "-o", "code/edges")
    assert done.code == 0
    assert "this one is p2ptk-sharp-edges" in done.out
    package = tmp_path / "code/edges/src/p2ptk_sharp_edges"
    assert files(package) == ["__init__.py", "encoder.py", "loss.py", "plugin.py", "py.typed"]
    hooks = re.findall(r"^def (\w+)", (package / "plugin.py").read_text("utf-8"), re.MULTILINE)
    assert hooks == ["p2ptk_encoders", "p2ptk_losses"]
    assert "class SharpEdgesLoss:" in (package / "loss.py").read_text("utf-8")
    tests = (tmp_path / "code/edges/tests/test_conformance.py").read_text("utf-8")
    assert 'conformance("loss", "sharp-edges")' in tests
    assert "numpy" not in tests
    readme = (tmp_path / "code/edges/README.md").read_text("utf-8")
    assert "An encoder and a loss for p2ptk" in readme
    assert "p2ptk run --recipe quick -L +sharp-edges --steps 20" in readme


def test_a_wrong_kind(command: Command, tmp_path: Path) -> None:
    done = command("new-plugin", "oasis", "--kind", "generatr")
    assert (done.code, files(tmp_path)) == (2, [])
    assert "there is no kind 'generatr': did you mean 'generator'?" in done.err


@pytest.mark.parametrize(
    ("text", "distribution"),
    [
        ("foo", "p2ptk-foo"),
        ("p2ptk-foo", "p2ptk-foo"),
        ("P2PTK_Foo.Bar2", "p2ptk-foo-bar2"),
        ("import", "p2ptk-import"),
        ("aurora-aurora", "p2ptk-aurora-aurora"),
    ],
)
def test_names(text: str, distribution: str) -> None:
    assert name_plugin(text, ["generator"]).distribution == distribution


def test_all_spellings_of_a_name() -> None:
    names = Names("p2ptk-sharp-edges2")
    assert (names.package, names.component) == ("p2ptk_sharp_edges2", "sharp-edges2")
    assert names.prefix == "SharpEdges2"


@pytest.mark.parametrize(
    ("text", "kind", "sentence"),
    [
        ("3d", "loss", "'3d' can't be a plugin's name: after 'p2ptk-' it needs a letter"),
        ("./foo", "loss", "as in 'p2ptk-foo'"),
        ("my plugin", "loss", "as in 'p2ptk-my-plugin'"),
        ("schön", "loss", "letters (a to z)"),
        ("", "loss", "as in 'p2ptk-mine'"),
        ("p2ptk-", "loss", "as in 'p2ptk-mine'"),
        ("p2ptk", "loss", "means something else to p2ptk"),
        ("none", "discriminator", "means something else to p2ptk"),
        ("x" * 50, "loss", "is longer than 40 letters"),
        ("unet", "generator", "the generator 'unet' is built in, so yours would have to be written "
                              "p2ptk-unet/unet"),
        ("p2ptk-timm", "loss", "there is a plugin p2ptk-timm already"),
    ],
)  # fmt: skip
def test_names_that_are_refused(text: str, kind: str, sentence: str) -> None:
    with pytest.raises(UserError) as error:
        name_plugin(text, [kind])
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_a_name_is_free_for_a_kind_that_has_it_not() -> None:
    assert name_plugin("unet", ["loss"]).distribution == "p2ptk-unet"


def test_a_package_that_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plugin: Callable[..., None]
) -> None:
    (tmp_path / "p2ptk_here").mkdir()
    (tmp_path / "p2ptk_here" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    plugin("p2ptk-there", "1", "")
    for name in ("here", "there"):
        with pytest.raises(UserError, match=f"a package p2ptk_{name} is installed here"):
            name_plugin(name, ["loss"])


def test_nothing_is_overwritten_and_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names("p2ptk-foo")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").touch()
    (tmp_path / "file").touch()
    for place in ("full", "file"):
        with pytest.raises(UserError, match="exists and is not empty"):
            write_plugin(names, ["loss"], place)
    with pytest.raises(UserError, match=r"something else|no folder|can't be written"):
        write_plugin(names, ["loss"], "file/foo")
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))

    def fail(*_: object) -> str:
        if any(tmp_path.rglob("loss.py")):
            raise KeyboardInterrupt
        return "x"

    with monkeypatch.context() as patched:
        patched.setattr(write, "_text", fail)
        for place in ("new", "empty"):
            with pytest.raises(KeyboardInterrupt):
                write_plugin(names, ["loss"], place)
    assert sorted(tmp_path.rglob("*")) == before

    monkeypatch.chdir(tmp_path / "empty")
    write_plugin(names, ["loss"], ".")
    assert (Path.cwd() / "pyproject.toml").is_file()


def test_the_code_is_clean(tmp_path: Path) -> None:
    """For every kind and length of name. (mypy reads the template, with the rest of p2ptk.)"""
    pytest.importorskip("ruff")
    for name in ("p2ptk-a", "p2ptk-" + "-".join("abcdefghijklmnopq")):
        for kinds in [[kind] for kind in KINDS] + [list(KINDS)]:
            write_plugin(Names(name), kinds, tmp_path / "+".join([name, *kinds]))
    for check in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *check, "--no-cache", "--quiet", str(tmp_path)]
        done = subprocess.run(ruff, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_the_workflows_are_whole_and_name_no_host(tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    folder = write_plugin(Names("p2ptk-foo"), ["loss"], tmp_path / "foo")
    steps = []
    for path in (folder / ".github" / "workflows").iterdir():
        text = path.read_text("utf-8")
        assert not re.search(r"https?:|\.(org|com|io)\b", text)
        steps += [s for job in yaml.safe_load(text)["jobs"].values() for s in job["steps"]]
    assert {"pytest", "mypy", "python -m build"} <= {step.get("run") for step in steps}
    assert any("gh-action-pypi-publish" in step.get("uses", "") for step in steps)


SMALL = "run -d {pairs} --size 32 --steps 2 --device cpu"
NETS = "-G unet:depth=3,width=4 -D patchgan:layers=1,width=4"

# What takes each kind through a run; the run folder is called as the kind.
RUNS = {
    "generator": f"{SMALL} -D patchgan:layers=1,width=4 -G {{name}}:width=4,blocks=1",
    "encoder": f"{SMALL} -D none -L l1 -G unet:width=4,encoder={{name}}(width=4,depth=3)",
    "discriminator": f"{SMALL} -G unet:depth=3,width=4 -D {{name}}:width=4",
    "loss": f"{SMALL} {NETS} -L +{{name}}:scales=2",
    "dataset": f"{SMALL} {NETS} -d {{name}}:path={{arrays}}",
    "augmentation": f"{SMALL} {NETS} -A +{{name}}",
    "tracker": f"{SMALL} {NETS} --set trackers=[{{name}}]",
    "recipe": f"{SMALL} {NETS} --recipe {{name}}",
}

SCRIPT = """
import json, pytest, sys
from p2ptk.cli import main
work = json.load(sys.stdin)
codes = [int(pytest.main(work["tests"]))]
for command in work["commands"]:
    try:
        main(command)
    except SystemExit as ended:
        codes.append(ended.code)
print("codes", codes)
"""


def in_one_process(site: Path, project: Path, commands: Sequence[Sequence[str]]) -> str:
    """Run a plugin's tests and commands where it is installed; gives what they print."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("P2PTK_")}
    options = ["-q", "-p", "no:cacheprovider", f"--rootdir={project}"]
    work = {"tests": [*options, str(project / "tests")], "commands": commands}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps(work),
        env=clean | {"PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"},
        cwd=project.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    expected = f"codes {[0] * (len(commands) + 1)}"
    assert done.stdout.splitlines()[-1:] == [expected], done.stdout + done.stderr
    return done.stdout


def install(site: Path, folder: Path, name: str, kinds: Sequence[str]) -> Path:
    """Write a plugin, build its wheel and install it; gives the project."""
    made = write_plugin(Names(name), kinds, folder / name)
    uv = [sys.executable, "-m", "uv", "pip", "install", "--python", sys.executable]
    alone = ["--offline", "--no-deps", "--no-build-isolation", "--quiet"]
    subprocess.run([*uv, *alone, "--target", str(site), str(made)], check=True)
    return made


def provided(run: Path) -> dict[str, str]:
    return tomllib.loads((run / "run.toml").read_text("utf-8"))["providers"]


def test_a_new_generator_is_built_installed_tested_and_trained(pairs: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    project = install(site, tmp_path, "p2ptk-my-generator", ["generator"])
    assert (site / "p2ptk_my_generator" / "py.typed").is_file()
    run = RUNS["generator"].format(pairs=pairs, name="my-generator").split()
    in_one_process(site, project, [[*run, "-o", "runs/generator"]])
    assert provided(tmp_path / "runs/generator")["generator/my-generator"] == (
        "p2ptk-my-generator 0.1.0"
    )


@pytest.mark.slow
def test_so_is_every_other_kind(pairs: Path, tmp_path: Path) -> None:
    """All in one distribution, whose modules the conformance tests import in one process."""
    site, arrays, runs = tmp_path / "site", tmp_path / "arrays", tmp_path / "runs"
    kinds = [kind for kind in KINDS if kind != "generator"]
    project = install(site, tmp_path, "p2ptk-my-all", kinds)
    for split in ("train", "val"):
        (arrays / split).mkdir(parents=True)
        a = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        np.savez(arrays / split / "0.npz", a=a, b=255 - a)
    words = {"pairs": pairs, "arrays": arrays, "name": "my-all"}
    commands = [
        [*RUNS[kind].format(**words).split(), "-o", f"runs/{kind}"]
        for kind in kinds
        if kind in RUNS
    ]
    commands.append(["evaluate", "runs/loss", "-d", str(pairs), "-m", "my-all"])
    commands.append(["my-all", "runs/loss"])
    said = in_one_process(site, project, commands)

    for kind in set(kinds) & set(RUNS) - {"recipe", "tracker"}:
        assert provided(runs / kind)[f"{kind}/my-all"] == "p2ptk-my-all 0.1.0"
    assert "g_my-all" in (runs / "loss" / "metrics.jsonl").read_text()
    assert re.search(r"^2,g_loss,", (runs / "tracker" / "my-all.csv").read_text(), re.MULTILINE)
    assert 'recipe = "my-all"' in (runs / "recipe" / "run.toml").read_text()
    assert re.search(r"^my-all\b.* 0\.\d+", said, re.MULTILINE)
    assert "  in all" in said
