"""Reading what other programs saved: tensors in any wrapping, and never code."""

from __future__ import annotations

import argparse
import io
import pickle
import tempfile
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from p2ptk.errors import P2ptkError, UserError
from p2ptk.port.foreign import read_state

NET = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
STATE = {name: tensor.clone() for name, tensor in NET.state_dict().items()}


def same(found: dict[str, Tensor]) -> bool:
    return found.keys() == STATE.keys() and all(torch.equal(found[k], STATE[k]) for k in STATE)


def saved(path: Path, what: Any, **how: Any) -> Path:
    torch.save(what, path, **how)
    return path


ADAM = torch.optim.Adam(NET.parameters())
NET(torch.ones(2, 3, 8, 8)).sum().backward()
ADAM.step()
NET.load_state_dict(STATE)


@pytest.mark.parametrize(
    "wrapped",
    [
        STATE,
        NET.state_dict(),  # an OrderedDict with torch's own notes
        OrderedDict((f"module.{k}", v) for k, v in STATE.items()),
        {f"module._orig_mod.{k}": v for k, v in STATE.items()},
        {k: nn.Parameter(v) if v.is_floating_point() else v for k, v in STATE.items()},
        {"state_dict": STATE},
        {"state_dict": STATE, "optimizer": ADAM.state_dict(), "epoch": 7, "note": "done"},
        {"models": {"generator": STATE}, "step": torch.tensor(3)},
    ],
    ids=["plain", "ordered", "module", "compiled", "parameters", "wrapped", "tutorial", "nested"],
)
@pytest.mark.parametrize("archive", [True, False], ids=["zip", "legacy"])
def test_reads_a_state_dict_in_any_wrapping(tmp_path: Path, wrapped: Any, archive: bool) -> None:
    path = saved(tmp_path / "net.pth", wrapped, _use_new_zipfile_serialization=archive)
    assert same(read_state(path))


def test_reads_safetensors_and_makes_halves_float32(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2, dtype=torch.bfloat16), "n": torch.tensor(3)}, tmp_path / "x.st")
    found = read_state(tmp_path / "x.st")
    assert found["a"].dtype == torch.float32
    assert found["n"].dtype == torch.int64


def test_of_several_state_dicts_one_must_be_named(tmp_path: Path) -> None:
    other = {"w": torch.ones(1)}
    path = saved(tmp_path / "both.pth", {"G": STATE, "D": other, "optim": ADAM.state_dict()})
    with pytest.raises(UserError, match="holds 2 state dicts: name one with --key, of G, D"):
        read_state(path)
    assert same(read_state(path, "G"))
    assert read_state(path, "D").keys() == {"w"}
    with pytest.raises(UserError, match="no state dict 'H'"):
        read_state(path, "H")


def test_a_key_may_be_what_the_names_begin_with(tmp_path: Path) -> None:
    both = {f"netG.{k}": v for k, v in STATE.items()} | {"netD.w": torch.ones(1)}
    path = saved(tmp_path / "both.pth", {"state_dict": both})
    assert same(read_state(path, "netG"))


class Canary:
    """Unpickling it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("how", ["zip", "legacy", "bare pickle", "among tensors"])
def test_code_in_a_file_never_runs(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")  # no way round it
    canary, path = tmp_path / "canary", tmp_path / "net.pth"
    bad = {"state_dict": STATE, "extra": Canary(canary)}
    if how == "bare pickle":
        path.write_bytes(pickle.dumps(Canary(canary)))
    else:
        saved(path, bad if how == "among tensors" else Canary(canary),
              _use_new_zipfile_serialization=how != "legacy")  # fmt: skip
    with pytest.raises(UserError, match="holds more than tensors"):
        read_state(path)
    assert not canary.exists()
    if how != "bare pickle":
        torch.load(path, weights_only=False)
        assert canary.exists(), "the canary would have sung"


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (NET, r"more than tensors \(torch\.nn\.modules\.container\.Sequential\)"),
        ({"w": np.ones(3)}, "more than tensors"),
        ({"state_dict": STATE, "args": argparse.Namespace(lr=1)}, r"\(argparse\.Namespace\)"),
        ({"epoch": 3, "loss": 0.5}, "no state dict.*it is a table of 'epoch', 'loss'"),
        ([torch.ones(1)], "no state dict.*it is a list"),
        (torch.ones(3), "no state dict.*it is a Tensor"),
        ({"w": torch.ones(1), "lr": 0.1}, "no state dict"),
        ({}, "no state dict"),
    ],
)
def test_refuses_what_is_no_state_dict(tmp_path: Path, what: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        read_state(saved(tmp_path / "x.pth", what))


def test_refuses_broken_files_and_models_of_our_own(tmp_path: Path) -> None:
    whole = saved(tmp_path / "x.pth", STATE).read_bytes()
    cases = {
        "cut.pth": (whole[:-100], "is damaged"),
        "text.pth": (b"a text, and a longish one", "not a safetensors file"),
        "empty.pth": (b"", "is empty"),
    }
    for name, (content, words) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=words):
            read_state(tmp_path / name)
    save_file(STATE, tmp_path / "ours.safetensors", {"p2ptk": "{}"})
    with pytest.raises(UserError, match="a model of p2ptk already"):
        read_state(tmp_path / "ours.safetensors")
    with pytest.raises(UserError, match="there is no file"):
        read_state(tmp_path / "none.pth")
    with pytest.raises(UserError, match="can't be read"):
        read_state(tmp_path)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_file_is_read_or_refused(data: st.DataObject) -> None:
    buffer = io.BytesIO()
    torch.save(STATE, buffer, _use_new_zipfile_serialization=data.draw(st.booleans()))
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.pth"
        path.write_bytes(content)
        found: dict[str, Tensor] = {}
        with suppress(P2ptkError):
            found = read_state(path)
        assert all(isinstance(tensor, Tensor) for tensor in found.values())
