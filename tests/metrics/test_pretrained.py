from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from p2ptk.errors import Unavailable, UserError
from p2ptk.metrics import pretrained
from p2ptk.metrics.pretrained import hub_place, read_weights, weights_file


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub folder of the test's own, and no memory of what failed."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(pretrained, "_failed", {})
    return tmp_path / "torch" / "hub" / "checkpoints"


def published(folder: Path, content: bytes = b"weights", digest: str = "") -> str:
    """A file as it is published, its name ending in its sum; gives its URL."""
    digest = digest or hashlib.sha256(content).hexdigest()[:8]
    folder.mkdir(exist_ok=True)
    (folder / f"net-{digest}.pth").write_bytes(content)
    return (folder / f"net-{digest}.pth").as_uri()


def test_fetched_once_then_taken_from_its_place(tmp_path: Path, hub: Path) -> None:
    url = published(tmp_path / "web")
    place = weights_file(url, None, "lpips")
    assert place == hub / url.rpartition("/")[2] == hub_place(url)
    assert place.read_bytes() == b"weights"
    (tmp_path / "web" / place.name).unlink()
    assert weights_file(url, None, "lpips") == place


def test_a_file_that_is_named_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine.pth").write_bytes(b"x")
    assert weights_file("nowhere:", tmp_path / "mine.pth", "fid") == tmp_path / "mine.pth"
    with pytest.raises(UserError, match="fid: there is no weights file"):
        weights_file("nowhere:", tmp_path / "other.pth", "fid")


@pytest.mark.parametrize(
    ("metric", "option"), [("fid", "fid:weights=F"), ("lpips:net=vgg", "lpips:net=vgg,weights=F")]
)
def test_one_sentence_where_it_can_not_be_had(
    tmp_path: Path, hub: Path, metric: str, option: str
) -> None:
    url = (tmp_path / "web" / "net-12345678.pth").as_uri()
    with pytest.raises(Unavailable) as caught:
        weights_file(url, None, metric)
    sentence = str(caught.value)
    for part in ("net-12345678.pth", f"get {url}", str(hub), f"-m {option}"):
        assert part in sentence
    assert caught.value.exit_code == 1


def test_what_came_damaged_is_not_kept(tmp_path: Path, hub: Path) -> None:
    url = published(tmp_path / "web", digest="00000000")
    with pytest.raises(Unavailable, match="another SHA-256"):
        weights_file(url, None, "fid")
    assert not list(hub.iterdir())


def test_what_failed_is_not_waited_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = (tmp_path / "web" / "net-12345678.pth").as_uri()
    with pytest.raises(Unavailable):
        weights_file(url, None, "fid")
    monkeypatch.setattr(pretrained, "_fetch", lambda *_: pytest.fail("tried again"))
    with pytest.raises(Unavailable, match="kid needs"):
        weights_file(url, None, "kid")


def test_only_tensors_are_unpickled(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (Path(tmp_path / "done"),)  # type: ignore[return-value]

    torch.save({"x": torch.ones(2), "y": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(UserError, match="can't be read as weights"):
        read_weights(tmp_path / "evil.pth")
    assert not (tmp_path / "done").exists()
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(UserError, match="no table of tensors"):
        read_weights(tmp_path / "list.pth")
