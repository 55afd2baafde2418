"""The README's project in one line does what it says, plugins and all."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from p2ptk.cli import main
from p2ptk.plugins import configure

README = Path(__file__).parents[1] / "README.md"
# The line as it stands, made small enough for a test.
TINY = "--size 64 --steps 2 --set train.batch_size=1 --device cpu --set generator.width=4"


def third_block() -> list[list[str]]:
    """The commands of the README's third code block, as a shell would split them."""
    block = re.findall(r"^```\n(.*?)^```$", README.read_text("utf-8"), re.DOTALL | re.MULTILINE)[2]
    return [shlex.split(line) for line in block.splitlines()]


@pytest.fixture
def p2ptk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """p2ptk("run", ...) runs the command line in `tmp_path`, with the plugins of the line."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("P2PTK_PLUGINS", "p2ptk-timm,p2ptk-kornia")
    configure(enabled=True, files=[])

    def call(*arguments: str) -> None:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert not ended.value.code

    yield call
    monkeypatch.undo()
    configure(enabled=True, files=[])


def test_the_project_in_one_line(p2ptk: Callable[..., None], pairs: Path, tmp_path: Path) -> None:
    for plugin in ("p2ptk_timm", "p2ptk_kornia"):
        if importlib.util.find_spec(plugin) is None:
            pytest.skip(f"{plugin} is not installed")
    (tmp_path / "pairs").symlink_to(pairs)
    (tmp_path / "photos").mkdir()
    with Image.open(next((pairs / "val").iterdir())) as picture:
        picture.crop((0, 0, 32, 32)).save(tmp_path / "photos" / "one.png")

    (_, *run), (_, *translate) = third_block()
    assert "unet:encoder=timm(model=resnet34)" in run
    p2ptk(*run, *TINY.split())
    p2ptk(*translate)
    with Image.open(tmp_path / "out" / "one.png") as made:
        assert made.size == (32, 32)
