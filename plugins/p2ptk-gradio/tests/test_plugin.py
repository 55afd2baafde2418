"""The distribution: light to list, and built on p2ptk's public names alone."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import p2ptk
from p2ptk_gradio import plugin
from p2ptk_gradio.command import serve

ROOT = Path(__file__).parents[1]


def test_hooks_and_the_command_s_help_load_nothing_heavy() -> None:
    code = (
        "import sys, p2ptk_gradio.plugin as p; list(p.p2ptk_commands()); "
        "import p2ptk_gradio.command; "
        "print([m for m in ('torch', 'gradio', 'fastapi', 'numpy', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_command_is_there() -> None:
    (component,) = plugin.p2ptk_commands()
    assert component.name == "serve"
    assert component.load().name == "serve"


def test_only_public_names_of_p2ptk_are_used() -> None:
    for path in [*ROOT.glob("src/**/*.py"), *ROOT.glob("tests/*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "p2ptk":
                assert node.module == "p2ptk", path
                assert {alias.name for alias in node.names} <= {"", *p2ptk.__all__}, path


def shell_lines() -> list[str]:
    pages = [ROOT / "README.md", ROOT.parents[1] / "docs" / "deploy.md"]
    text = "\n".join(page.read_text("utf-8") for page in pages if page.is_file())
    return [line for line in text.splitlines() if line.startswith("p2ptk serve ")]


@pytest.mark.parametrize("line", shell_lines())
def test_commands_in_the_documents_parse(line: str) -> None:
    serve.make_context("serve", line.split()[2:])


@pytest.mark.parametrize("name", ["cpu", "cuda"])
def test_the_images_run_without_rights(name: str) -> None:
    file = ROOT.parents[1] / "docs" / "deploy" / f"Dockerfile.{name}"
    if not file.is_file():
        pytest.skip("the documents are not beside the plugin")
    text = file.read_text("utf-8")
    last = text.rpartition("\nFROM ")[2]
    assert "\nUSER 10001:10001\n" in last
    assert "\nRUN " not in last
    entry = json.loads(last.partition("\nENTRYPOINT ")[2].partition("\n")[0])
    assert entry[:2] == ["p2ptk", "serve"]
    serve.make_context("serve", [*entry[2:], "model"])
