"""Examples are run or validated, and README's commands are real."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from p2ptk.cli import cli, main
from p2ptk.components import create
from p2ptk.config import RunConfig
from p2ptk.missing import directory
from p2ptk.plugins import configure

ROOT = Path(__file__).parents[1]


RUN_FILES = sorted(p for p in (ROOT / "examples").rglob("*.toml") if p.parent.name != "studies")


@pytest.mark.parametrize("path", RUN_FILES, ids=lambda p: p.name)
def test_run_files_are_valid(path: Path) -> None:
    RunConfig.read(path)


def test_the_component_in_the_readme_is_the_example() -> None:
    example = (ROOT / "examples" / "edge_loss.py").read_text().partition("from p2ptk import")[2]
    assert example in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("patch", [1, 16, 70, 286])
def test_the_papers_patch_sizes(patch: int) -> None:
    config = RunConfig.read(ROOT / "examples" / "paper" / f"table3-{patch}x{patch}.toml")
    assert config.discriminator is not None
    judge = create("discriminator", config.discriminator, source_channels=3, target_channels=3)
    assert judge.receptive_field == patch


def test_the_loss_of_ones_own_trains(pairs: Path, tmp_path: Path) -> None:
    command = [
        "run", "-d", str(pairs), "--size", "32", "--steps", "2",
        "-G", "unet:depth=3,width=4", "-D", "patchgan:layers=1,width=4", "--device", "cpu",
        "--plugin", str(ROOT / "examples" / "edge_loss.py"), "-L", "+edges:weight=10",
        "-o", str(tmp_path / "run"),
    ]  # fmt: skip
    try:
        with pytest.raises(SystemExit) as ended:
            main(command)
    finally:
        configure(enabled=True, files=[])
    assert not ended.value.code
    assert "g_edges" in (tmp_path / "run" / "metrics.jsonl").read_text()


@pytest.mark.slow
def test_the_python_example_runs(tmp_path: Path) -> None:
    script = ROOT / "examples" / "train_and_translate.py"
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "(3, 256, 256) -> (3, 256, 256) torch.uint8" in done.stdout


def commands() -> list[str]:
    """Every `p2ptk ...` line of the code blocks in README, docs and of the examples' headings."""
    texts = [(ROOT / "README.md").read_text("utf-8")]
    texts += [path.read_text("utf-8") for path in (ROOT / "docs").glob("*.md")]
    texts += [path.read_text() for path in (ROOT / "examples").rglob("*.*")]
    lines = [line.strip(" #") for text in texts for line in text.splitlines()]
    # What a script passes on ("$@") is in test_slurm.py.
    return [line for line in lines if re.match(r"p2ptk [a-z]", line) and "$@" not in line]


def test_the_page_on_the_pytorch_port_is_whole_and_true() -> None:
    """It names every option that the port writes, and keys, specs and recipes that there are."""
    from p2ptk.components import resolve
    from p2ptk.config import options
    from p2ptk.layers import read_recipe
    from p2ptk.port.options import NOT_TAKEN

    text = (ROOT / "docs" / "from-pytorch-cyclegan.md").read_text("utf-8")
    former = {"how_many", "isTrain"}
    cyclegan = {"lambda_A", "lambda_B", "lambda_identity", "identity"}
    for option in NOT_TAKEN.keys() - former - cyclegan:
        assert f"--{option}" in text, option
    for key in re.findall(r"`((?:train|output|inference)\.\w+)", text):
        assert key in options(), key
    for recipe in re.findall(r"--recipe ([\w-]+)", text):
        read_recipe(recipe)
    for letter, spec in re.findall(r"`?-([GDLA]) (\w+:[^`\s]+)`", text):
        kind = {"G": "generator", "D": "discriminator", "L": "loss", "A": "augmentation"}[letter]
        resolve(kind, re.sub(r",?weight=\d+", "", spec).rstrip(":"))


@pytest.mark.parametrize("line", commands())
def test_commands_in_the_documents_parse(line: str) -> None:
    words = shlex.split(line.partition(" # ")[0])[1:]
    context = click.Context(cli, obj={})
    command = cli.get_command(context, words[0])
    listed = {name for plugin in directory() for name in plugin.components.get("command", ())}
    if command is None and words[0] in listed:
        pytest.skip("a plugin's command: its own tests parse it")
    assert command is not None, f"there is no command {words[0]!r}"
    try:
        command.make_context(words[0], words[1:], parent=context)
    finally:
        configure(enabled=True, files=[])
