"""docs/plugins.md: its tutorial works as it stands, and its reference is what the code says.

Of CONTRIBUTING.md, that what it names is there; of all pages, that links and pictures are.

That p2ptk's commands parse is tested in test_examples.py, for all pages; here, those of groups.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import click
import pytest
from pydantic import Field

import p2ptk
from p2ptk import Choices, Component, Part, Spec
from p2ptk.cli.run import run
from p2ptk.contracts import KINDS
from p2ptk.missing import directory
from p2ptk.scaffold.reference import hook_example, renewed
from p2ptk.schema import Parameter, validate

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "plugins.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

# Commands of other programs in the page, and what a test has of each.
OTHERS = {
    'pip install -e "./p2ptk-oasis[test]"': "cli/test_new_plugin.py, with uv",
    "pytest p2ptk-oasis": "cli/test_new_plugin.py",
    "pip install -e ./p2ptk-edges": "here, with uv",
    "uv build ./p2ptk-edges": "here",
    "pip install ./p2ptk-edges/dist/p2ptk_edges-0.1.0-py3-none-any.whl": "here, with uv",
}


def lines_of_shell() -> list[str]:
    blocks = [text for language, text in BLOCKS if not language]
    return [line.partition(" #")[0].strip() for text in blocks for line in text.splitlines()]


def test_the_hook_reference_is_the_codes_own() -> None:
    """If not: python -m p2ptk.scaffold.reference docs/plugins.md"""
    assert renewed(PAGE) == PAGE


def test_the_release_page_is_true() -> None:
    """The version stands in two places, alike; the command that makes a tiny run parses."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["version"] == p2ptk.__version__
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    (line,) = re.findall(r"^ *p2ptk (run .*)$", page, re.MULTILINE)
    run.make_context("run", line.split()[1:], obj={})
    for path in re.findall(r"`((?:p2ptk|docs|benchmarks)/[\w./-]+)`", page):
        assert (ROOT / path).exists(), path


PAGES = sorted((ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere_and_pictures_are_small(page: Path) -> None:
    text = page.read_text("utf-8")
    for link in re.findall(r"\]\(([^)]+)\)", text):
        path, _, anchor = link.partition("#")
        if path.startswith("https:"):
            continue
        there = (page.parent / path) if path else page
        assert there.exists(), link
        if path.startswith("images/") and there.suffix != ".py":
            assert there.stat().st_size < 200_000, link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", there.read_text("utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs" / "index.md").read_text("utf-8")
    for page in PAGES:
        assert page.name == "index.md" or f"({page.name})" in index, page.name


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_commands_on_data_parse(page: Path) -> None:
    from p2ptk.cli.data import data

    for line in re.findall(r"^p2ptk data (.*?)(?: # .*)?$", page.read_text("utf-8"), re.MULTILINE):
        name, *words = shlex.split(line)
        context = click.Context(data, obj={})
        command = data.get_command(context, name)
        assert command is not None, line
        command.make_context(name, words, parent=context)


def test_the_page_on_scores_has_every_metric() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    table = text.partition("| metric | its value")[2].partition("\n\n")[0]
    names = {name for row in table.splitlines()[2:] for name in re.findall(r"^\| `([\w-]+)`", row)}
    metrics = p2ptk.list_components("metric")
    # Other tests register metrics of their own.
    assert names == {m.name for m in metrics if m.distribution == "p2ptk"}


def test_the_page_on_trouble_has_the_reports_signs() -> None:
    """What the report calls a sign is a heading, with a picture that is there."""
    text = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
    said = (ROOT / "p2ptk" / "report" / "signs.py").read_text("utf-8")
    for words, heading, picture in (
        ("grey mush", "Grey mush", "mush"),
        ("a checkerboard", "Checkerboard", "board"),
        ("have a cast", "Colour cast", "cast"),
        ("D wins", "D wins", "wins"),
        ("overfits its training pairs", "Overfitting few pairs", "few"),
        ("look misaligned", "Misaligned pairs", "shifts"),
        ("the run diverged", "The run diverged", None),
    ):
        assert words in said
        section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
        assert "\np2ptk " in section, heading
        assert picture is None or f"(images/trouble-{picture}.jpg)" in section


@pytest.mark.parametrize("kind", KINDS)
def test_the_example_of_each_hook_runs(kind: str) -> None:
    body = hook_example(kind)
    names: dict[str, Any] = {"Component": Component}
    exec("def hook():\n    " + body.replace("\n", "\n    "), names)
    (component,) = names["hook"]()
    assert isinstance(component, Component)


def test_every_command_is_covered() -> None:
    others = [line for line in lines_of_shell() if not line.startswith("p2ptk ")]
    assert sorted(others) == sorted(OTHERS)


def test_blocks_are_well_formed() -> None:
    assert {language for language, _ in BLOCKS} <= {"", "python", "toml", "json"}
    for language, text in BLOCKS:
        if language == "python" and "(Protocol)" not in text and not text.startswith("yield"):
            compile(text, "plugins.md", "exec")


def test_the_table_of_annotations() -> None:
    names = {"Annotated": Annotated, "Field": Field, "Literal": Literal, "Spec": Spec}
    names |= {"Part": Part, "Choices": Choices}
    table = PAGE.partition("| annotation |")[2].partition("\n\n")[0].splitlines()[2:]
    assert len(table) == 7
    for row in table:
        left, right = re.split(r"(?<!\\)\|", row.strip("|"))
        left = left.replace("\\|", "|").replace("my_pkg.names", __name__)
        examples = [text for text in re.findall(r"`([^`]+)`", right) if "=" in text]
        kinds = re.findall(r"`([^`]+)`", left)
        for kind, example in zip(kinds, examples or ["width=32"], strict=True):
            ((key, value),) = Spec.parse(f"x:{example}").params.items()
            validate((Parameter(key, eval(kind, names)),), {key: value}, "x")


def all_of_them() -> Iterator[str]:
    yield "resnet34"


def test_the_row_for_the_directory_has_the_directorys_form() -> None:
    (text,) = (text for language, text in BLOCKS if language == "json")
    rows = json.loads((ROOT / "docs" / "plugin-directory.json").read_text("utf-8"))
    assert set(json.loads(text)) == {*rows[0], "homepage"}
    assert len(directory()) == len(rows)


SCRIPT = """
import json, sys, pytest
from p2ptk.cli import main
work = json.load(sys.stdin)
assert pytest.main(work["tests"]) == 0
for command in work["commands"]:
    print(">", *command)
    try:
        main(command)
    except SystemExit as ended:
        assert not ended.code, command
"""


@pytest.mark.slow
def test_the_tutorial(pairs: Path, tmp_path: Path) -> None:
    """From nothing to a wheel that is installed, checked and trained with."""
    written = re.findall(
        r"^`(p2ptk-edges/[^`]+)`[^`]*(?:`[^`]+`[^`]*)*?```\w+\n(.*?)^```$",
        PAGE,
        re.MULTILINE | re.DOTALL,
    )
    assert [Path(name).name for name, _ in written] == ["pyproject.toml", "plugin.py", "loss.py"]
    for name, text in written:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    (test,) = (text for _, text in BLOCKS if "def test_edges" in text)
    (tmp_path / "test_edges.py").write_text(test, "utf-8")

    uv = [sys.executable, "-m", "uv"]
    build = [*uv, "build", "./p2ptk-edges", "--offline", "--no-build-isolation", "--quiet"]
    subprocess.run([*build, "--python", sys.executable], check=True, cwd=tmp_path)
    wheel = "./p2ptk-edges/dist/p2ptk_edges-0.1.0-py3-none-any.whl"
    assert f"pip install {wheel}\n" in PAGE
    install = [*uv, "pip", "install", "--offline", "--no-deps", "--quiet", "--target", "site"]
    subprocess.run([*install, "--python", sys.executable, wheel], check=True, cwd=tmp_path)

    wanted = ("p2ptk plugins", "p2ptk show loss", "p2ptk run --recipe quick -L", "p2ptk check")
    lines = dict.fromkeys(line for line in lines_of_shell() if line.startswith(wanted))
    commands = [line.split()[1:] for line in lines]
    small = ["-d", str(pairs), "--size", "32", "--steps", "2", "--device", "cpu", "-o", "run"]
    small += ["-G", "unet:depth=3,width=4", "-D", "patchgan:layers=1,width=4"]
    commands = [c + small if c[0] == "run" else c for c in commands]
    clean = {k: v for k, v in os.environ.items() if not k.startswith("P2PTK_")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps({"tests": ["-q", "test_edges.py"], "commands": commands}),
        env=clean | {"PYTHONPATH": str(tmp_path / "site"), "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"p2ptk-edges +0\.1\.0 +active +1 loss", done.stdout)
    assert "pixels between the two values that are subtracted" in done.stdout
    assert "g_edges" in (tmp_path / "run" / "metrics.jsonl").read_text()
