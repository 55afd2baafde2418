"""`p2ptk import`: what it prints, writes and refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from p2ptk.components import create
from p2ptk.port.keys import resnet_keys
from p2ptk.weights import read_header

Command = Callable[..., Any]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A small ResNet's state dict as the port saves it."""
    net = create("generator", "resnet:blocks=1,width=2", source_channels=1, target_channels=3)
    modules = {ours: name for name, ours in resnet_keys(1).items()}
    state = {
        f"{modules[name.rpartition('.')[0]]}.{name.rpartition('.')[2]}": tensor
        for name, tensor in net.state_dict().items()
    }
    torch.save(state, tmp_path / "latest_net_G.pth")
    return tmp_path / "latest_net_G.pth"


def test_it_says_what_it_found_and_what_comes_next(
    command: Command, weights: Path, tmp_path: Path
) -> None:
    out = tmp_path / "m.safetensors"
    done = command("import", weights, "-o", out, "--direction", "BtoA", "--size", "64x32")
    assert done.code == 0, done.err
    assert "generator: resnet:blocks=1,width=2 (" in done.out
    assert "1 to 3 channels" in done.out
    assert f"next: p2ptk translate {out}" in done.out
    assert "padding by reflection is taken" in done.err
    header = read_header(out)
    assert (header.direction, header.size) == ("BtoA", (64, 32))
    assert command("show", out).code == 0


def test_as_json(command: Command, weights: Path, tmp_path: Path) -> None:
    found = command("import", weights, "-o", f"{tmp_path}/start/", "--json").json
    assert found["written"] == str(tmp_path / "start" / "generator.safetensors")
    assert found["generator"]["blocks"] == 1
    assert len(found["notes"]) == 1


def test_a_class_in_a_file_of_ones_own(command: Command, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "class Mine(nn.Module):\n"
        "    size_multiple = 1\n"
        "    def __init__(self, *, source_channels: int, target_channels: int) -> None:\n"
        "        super().__init__()\n"
        "        self.conv = nn.Conv2d(source_channels, target_channels, 1)\n"
        "    def forward(self, source):\n"
        "        return self.conv(source)\n"
    )
    torch.save({"state_dict": torch.nn.Sequential().state_dict()}, tmp_path / "none.pth")
    torch.save(
        {"conv.weight": torch.ones(3, 3, 1, 1), "conv.bias": torch.ones(3)}, tmp_path / "x.pth"
    )
    out = tmp_path / "m.safetensors"
    done = command("import", tmp_path / "x.pth", "-G", f"{tmp_path}/net.py:Mine", "-o", out)
    assert done.code == 0, done.err
    assert read_header(out).providers["generator/Mine"].startswith("local/net")


def test_options(command: Command, tmp_path: Path) -> None:
    (tmp_path / "train_opt.txt").write_text("model: pix2pix\nbatch_size: 2\nserial_batches: True\n")
    out = tmp_path / "run.toml"
    done = command("import", "--options", tmp_path / "train_opt.txt", "-o", out)
    assert done.code == 0, done.err
    assert f"next: p2ptk run --config {out}" in done.out
    out.unlink()
    found = command("import", "--options", tmp_path / "train_opt.txt", "-o", out, "--json").json
    assert found["written"] == str(out)


def test_refusals_are_one_sentence_and_write_nothing(
    command: Command, weights: Path, tmp_path: Path
) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "canary",)

    torch.save({"state_dict": Evil()}, tmp_path / "evil.pth")
    out = tmp_path / "m.safetensors"
    for arguments, words in (
        ((tmp_path / "evil.pth",), "holds more than tensors"),
        ((), "give a file with weights, or an option file"),
        ((weights, "--options", weights), "give a file with weights, or an option file"),
        ((weights, "-G", "unet", "-D", "patchgan"), "not both"),
        ((weights, "-G", "unett"), "did you mean 'unet'"),
        ((weights, "-G", "resnet:blocks=2"), "It looks like resnet:blocks=1,width=2"),
        ((weights, "--size", "big"), "size"),
        ((tmp_path / "none.pth",), "there is no file"),
    ):
        done = command("import", *arguments, "-o", out)
        assert done.code == 2, (arguments, done)
        assert words in " ".join(done.err.split()), done.err
    assert not out.exists()
    assert not (tmp_path / "canary").exists()
