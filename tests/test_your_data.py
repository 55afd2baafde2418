"""docs/your-data.md: its commands about data do what the page says, the others parse.

That all first words are commands is tested in test_examples.py, with those of all pages.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

import p2ptk
from p2ptk.cli import cli, main
from p2ptk.dataprep.archives import ARCHIVES
from p2ptk.plugins import configure

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "your-data.md").read_text("utf-8")
EARTH = Path(p2ptk.__file__).parent / "datasets" / "earth"
LINES = [
    line.partition(" # ")[0].strip()
    for block in re.findall(r"^```\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
    if line.startswith("p2ptk ")
]


def held(context: click.Context) -> list[str]:
    """A group's words for its sub-command, which click renamed in 8.2."""
    kept = vars(context)
    found: list[str] = kept.get("_protected_args", kept.get("protected_args", []))
    return found


def parse(words: list[str]) -> None:
    """Parse a command and its sub-command, running neither."""
    context = click.Context(cli, obj={})
    command: click.Command | None = cli
    while isinstance(command, click.Group):
        name, command, words = command.resolve_command(context, words)
        assert command is not None, name
        context = command.make_context(name, list(words), parent=context)
        words = [*held(context), *context.args]


@pytest.mark.parametrize("line", LINES)
def test_commands_parse(line: str) -> None:
    try:
        parse(shlex.split(line)[1:])
    finally:
        configure(enabled=True, files=[])


def test_the_page_names_every_command_on_data() -> None:
    from p2ptk.cli.data import COMMANDS

    assert {line.split()[2] for line in LINES if line.startswith("p2ptk data ")} == set(COMMANDS)


def test_commands_on_data_run_in_the_pages_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On tiles of the earth, cut small: `photos/`, `maps/` and the frames of three cameras."""
    monkeypatch.chdir(tmp_path)
    for folder in ("photos", "maps", "frames"):
        Path(folder).mkdir()
    for i, path in enumerate(sorted((EARTH / "train").glob("*.jpg"))[:12]):
        both = np.array(Image.open(path))[:64]
        flat = np.array([(0, 0, 222), (255, 80, 0)], np.uint8)[both[:, 256:320, 2] // 128]
        Image.fromarray(both[:, :64]).save(f"photos/{i}.png")
        Image.fromarray(flat[::16, ::16].repeat(16, 0).repeat(16, 1)).save(f"maps/{i}.png")
        Image.fromarray(np.hstack([both[:, :64], both[:, 256:320]])).save(
            f"frames/cam{i % 3}_{i:04d}.png"
        )
    done = []
    for line in LINES:
        words = shlex.split(line)[1:]
        if words[0] != "data" or words[1] == "fetch":
            continue
        configure(enabled=True, files=[])
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert not ended.value.code, capsys.readouterr().err
        done.append(words[1])
    assert set(done) == {"combine", "palette", "split", "inspect"}
    for path in (
        "pairs/0.png",
        "swatch.png",
        "divided/train",
        "by-camera/test",
        "look/contact.png",
    ):
        assert Path(path).exists(), path


def test_what_inspect_says_is_in_the_table() -> None:
    """Each row begins with words of a sentence that p2ptk has."""
    files = [*(ROOT / "p2ptk" / "dataprep").glob("*.py"), ROOT / "p2ptk/cli/data_inspect.py"]
    source = "".join(path.read_text("utf-8") for path in files)
    source = re.sub(r'"\s*\n\s*f?"', "", source)  # sentences over several lines
    table = PAGE.partition("| it says |")[2].partition("\n\n")[0].splitlines()[2:]
    said = [
        "unusable", "the same pixels in more than one split",
        "nearly the same pictures in more than one split", "is shifted against A",
        "in all pairs together B lies", "is mirrored", "A and B look swapped",
        "the edges of A and B agree no better within pairs than between different ones",
        "reaches only", "holds only the", "not of the usual",
    ]  # fmt: skip
    assert len(table) == len(said)
    for row, words in zip(table, said, strict=True):
        assert words in row.split(" | ")[0]
        assert words in source


def test_the_table_of_sets() -> None:
    assert {line.split()[3] for line in LINES if "data fetch" in line} <= set(ARCHIVES)
    for name, size in re.findall(r"data fetch (\w+).*, (\d+) MiB", PAGE):
        assert ARCHIVES[name].size == int(size) * 2**20


def test_pictures_are_there_and_small() -> None:
    for name in re.findall(r"\]\((images/[^)]+)\)", PAGE):
        assert (ROOT / "docs" / name).stat().st_size < 150_000
