"""Images that change while a run reads them; decoded pairs of another version are in
tests/pairs/test_cache.py."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from p2ptk.config import RunConfig
from p2ptk.errors import P2ptkError, UserError
from p2ptk.layers import layers_of
from p2ptk.observe import Observer
from p2ptk.run import resume, start
from p2ptk.runfolder import RunFolder
from tests.conftest import TINY


class After(Observer):
    def __init__(self, step: int, act: Callable[[], object]) -> None:
        self.step, self.act = step, act

    def stepped(self, step: int) -> None:
        if step == self.step:
            self.act()


@pytest.fixture
def own(pairs: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pairs, tmp_path / "own"))


def train(own: Path, run: Path, act: Callable[[], object], **train: Any) -> Any:
    data = {"data": {"name": "side-by-side", "path": str(own)}, "cache": False, "workers": 0}
    more = {"train": {"steps": 20, **train}, "output": {"checkpoint_every": 2}}
    config = RunConfig.of(*layers_of({}), TINY, data, more)
    return start(config, RunFolder(run), After(3, act))


def each(own: Path, change: Callable[[Path], object]) -> Callable[[], object]:
    return lambda: [change(path) for path in sorted((own / "train").iterdir())]


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "deleted": (lambda p: p.unlink(), "there is no such file"),
    "truncated": (lambda p: p.write_bytes(p.read_bytes()[:60]), "can't be read"),
    "emptied": (lambda p: p.write_bytes(b""), "the file is empty"),
    "grey": (lambda p: Image.new("L", (64, 32)).save(p), "1 and 1 channels, those before had 3"),
    "larger": (lambda p: Image.new("RGB", (160, 90)).save(p), "its size has changed since"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_streamed_pairs_that_change_are_named(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.setattr("p2ptk.feed.free_memory", lambda device: 0)
    act, words = CHANGES[change]
    with pytest.raises(P2ptkError, match=words) as error:
        train(own, tmp_path / "run", each(own, act))
    assert ".png" in str(error.value) or change == "grey"
    assert list((tmp_path / "run" / "checkpoints").glob("*/state.json"))


def test_pairs_that_are_in_memory_may_go(own: Path, tmp_path: Path) -> None:
    assert train(own, tmp_path / "run", lambda: shutil.rmtree(own / "train")).finished


def test_a_run_is_not_resumed_on_other_pairs(own: Path, tmp_path: Path) -> None:
    config = RunConfig.of(*layers_of({}), TINY, {"data": f"side-by-side:path='{own}'"})
    start(config, RunFolder(tmp_path / "run"), Observer(), stop_at=2)
    (own / "train" / "00.png").rename(own / "train" / "new.png")
    with pytest.raises(UserError, match="are not those that"):
        resume(RunFolder(tmp_path / "run"), Observer())
