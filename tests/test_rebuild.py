"""Networks that are built only to be given their weights are told so."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import p2ptk
from p2ptk.observe import Observer
from p2ptk.plugins import registry
from p2ptk.rebuild import rebuilding, weights_follow
from p2ptk.run import resume
from p2ptk.runfolder import RunFolder

told: list[tuple[str, bool]] = []


class Net(nn.Module):
    """Begins with weights from elsewhere, unless it is about to be given others."""

    size_multiple = 1

    def __init__(self, *, source_channels: int, target_channels: int) -> None:
        super().__init__()
        told.append(("generator", weights_follow()))
        self.conv = nn.Conv2d(source_channels, target_channels, 1)

    def forward(self, source: Tensor) -> Tensor:
        return torch.tanh(self.conv(source))


class Loss(nn.Module):
    """Compares by weights from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        told.append(("loss", weights_follow()))
        self.register_buffer("scale", torch.tensor(0.0 if weights_follow() else 0.5))

    def generator(self, t: Any) -> Tensor:
        return (t.fake - t.target).abs().mean() * self.scale  # type: ignore[operator]


@pytest.fixture(autouse=True)
def net() -> Iterator[None]:
    p2ptk.register("generator", "fetching", Net)
    p2ptk.register("loss", "fetching", Loss)
    told.clear()
    yield
    registry.cache_clear()


RUN = {"generator": "fetching", "discriminator": "none", "losses": ["fetching"]}


def test_it_is_false_but_where_weights_follow() -> None:
    assert not weights_follow()
    with rebuilding():
        assert weights_follow()
        with rebuilding(False):
            assert not weights_follow()
    assert not p2ptk.weights_follow()
    with pytest.raises(RuntimeError), rebuilding():
        raise RuntimeError
    assert not weights_follow()


def test_a_new_run_fetches_and_what_follows_does_not(
    tiny: Callable[..., Any], tmp_path: Path
) -> None:
    whole = tiny("whole", RUN)
    assert told == [("generator", False), ("loss", False)]
    told.clear()
    p2ptk.load_generator(whole.folder)
    assert set(told) == {("generator", True)}

    tiny("half", RUN, stop_at=3)
    told.clear()
    folder = RunFolder(tmp_path / "half")
    assert resume(folder, Observer()).finished
    assert told == [("generator", True), ("loss", True)]
    same = [(tmp_path / run / "generator.safetensors").read_bytes() for run in ("whole", "half")]
    assert same[0] == same[1]


def test_a_run_without_a_checkpoint_fetches_again(tiny: Callable[..., Any], tmp_path: Path) -> None:
    tiny("half", RUN, stop_at=3)
    shutil.rmtree(tmp_path / "half" / "checkpoints")
    told.clear()
    resume(RunFolder(tmp_path / "half"), Observer())
    assert told == [("generator", False), ("loss", False)]


def test_counting_a_network_fetches_nothing() -> None:
    from p2ptk.cli.show_component import component_facts
    from p2ptk.specs import Spec

    assert component_facts("generator", Spec("fetching"))["network"]["parameters"] == 12
    assert told == [("generator", True)]
