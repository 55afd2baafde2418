"""Foreign weights become models that give the same pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from p2ptk.components import create, register
from p2ptk.errors import UserError
from p2ptk.port.importing import read_network, save_imported
from p2ptk.port.keys import patchgan_keys, unet_keys
from p2ptk.tensors import load_tensors, read_table
from p2ptk.weights import load_generator, read_header

RGB = {"source_channels": 3, "target_channels": 3}
REFERENCES = {
    "unet256_patchgan70_vanilla_batchnorm": ("unet:width=8", "patchgan:width=8"),
    "resnet9_patchgan34_lsgan_instancenorm": (
        "resnet:width=8,norm=instance",
        "patchgan:layers=2,width=8,norm=instance",
    ),
}


def port(network: nn.Module, modules: dict[str, str]) -> dict[str, Tensor]:
    """A network's state dict under the port's names."""
    theirs = {ours: name for name, ours in modules.items()}
    named = {name: name.rpartition(".") for name in network.state_dict()}
    state = network.state_dict()
    return {f"{theirs[at]}.{leaf}": state[name] for name, (at, _, leaf) in named.items()}


@pytest.fixture
def unet(tmp_path: Path) -> tuple[nn.Module, Path]:
    """A small U-Net whose running statistics have moved, and its file by the port."""
    torch.manual_seed(0)
    network = create("generator", "unet:depth=4,width=3", **RGB)
    network.train()(torch.randn(4, 3, 32, 32))
    torch.save(port(network, unet_keys(4)), tmp_path / "latest_net_G.pth")
    return network.eval(), tmp_path / "latest_net_G.pth"


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("by", ["guess", "spec"])
def test_a_recorded_model_gives_its_recorded_output(
    shared: Path, tmp_path: Path, name: str, by: str
) -> None:
    folder, (generator, _) = shared / "reference" / name, REFERENCES[name]
    made = read_network(folder / "latest_net_G.pth", generator=generator if by == "spec" else None)
    assert str(made.short) == generator
    path = save_imported(made, tmp_path / "model.safetensors")
    header = read_header(path)
    assert (header.size, header.inference_norm, header.inference_dropout) == (
        (256, 256),
        "running",
        False,
    )
    pairs = load_file(folder / "pairs.safetensors")
    expected = load_file(folder / "eval.safetensors")["eval_output"]
    with torch.no_grad():
        found = load_generator(path)(pairs["source"][0] / 127.5 - 1)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", REFERENCES)
def test_a_recorded_discriminator_is_recognised(shared: Path, name: str) -> None:
    folder = shared / "reference" / name
    made = read_network(folder / "discriminator_final.safetensors")
    assert (made.kind, str(made.short)) == ("discriminator", REFERENCES[name][1])
    again = read_network(
        folder / "discriminator_final.safetensors", discriminator=REFERENCES[name][1]
    )
    assert again.spec == made.spec


def test_what_the_header_says(unet: tuple[nn.Module, Path], tmp_path: Path) -> None:
    made = read_network(unet[1])
    path = save_imported(
        made, tmp_path / "m.safetensors", direction="BtoA", norm="image", dropout=True
    )
    header = read_header(path)
    assert header.spec == made.spec
    assert (header.size, header.size_multiple) == ((16, 16), (16, 16))
    assert (header.direction, header.inference_norm, header.inference_dropout) == (
        "BtoA",
        "image",
        True,
    )
    assert header.providers["generator/unet"].startswith("p2ptk ")
    assert header.parent is not None
    assert header.parent.startswith(f"{unet[1]} sha256:")
    other = save_imported(made, tmp_path / "n.safetensors", size=(32, 64))
    assert read_header(other).size == (32, 64)
    assert any("dropout leaves no trace" in note for note in made.notes)


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_old_files(tmp_path: Path, norm: str) -> None:
    """From before torch 0.4: no counters in batch norm, useless statistics in instance norm."""
    torch.manual_seed(0)
    network = create("generator", f"unet:depth=4,width=3,norm={norm},dropout=0.0", **RGB).eval()
    state = {k: v for k, v in port(network, unet_keys(4)).items() if "num_batches" not in k}
    if norm == "instance":
        for place in ("model.model.1.model.2", "model.model.1.model.6"):
            state |= {f"{place}.running_mean": torch.ones(6), f"{place}.running_var": torch.ones(6)}
    torch.save({f"module.{k}": v for k, v in state.items()}, tmp_path / "old.pth")
    made = read_network(tmp_path / "old.pth")
    assert made.spec.params["norm"] == norm
    assert any("4 old statistics" in note for note in made.notes) == (norm == "instance")
    path = save_imported(made, tmp_path / "m.safetensors")
    x = torch.rand(1, 3, 16, 32)
    with torch.no_grad():
        torch.testing.assert_close(load_generator(path)(x), network(x))


def test_a_network_of_ones_own_by_its_own_names(tmp_path: Path) -> None:
    class Mine(nn.Module):
        size_multiple = 1

        def __init__(self, *, source_channels: int, target_channels: int, width: int = 4) -> None:
            super().__init__()
            self.initial_down = nn.Conv2d(source_channels, width, 3, padding=1)
            self.final_up = nn.Conv2d(width, target_channels, 3, padding=1)

        def forward(self, source: Tensor) -> Tensor:
            return torch.tanh(self.final_up(self.initial_down(source)))

    register("generator", "mine-imported", Mine)
    net = Mine(source_channels=1, target_channels=3)
    file = tmp_path / "gen.pth.tar"
    torch.save({"state_dict": net.state_dict(), "optimizer": {"state": {}}}, file)
    with pytest.raises(UserError, match=r"no\s+tensor 'initial_down.weight'.*-G ./net.py:MyNet"):
        read_network(file)
    with pytest.raises(UserError, match=r"'initial_down.weight' is 4x1x3x3 and should be 4x3x3x3"):
        read_network(file, generator="mine-imported")
    made = read_network(file, generator="mine-imported", source_channels=1)
    path = save_imported(made, tmp_path / "m.safetensors")
    x = torch.rand(1, 1, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(load_generator(path)(x), net(x))


def test_a_wrong_spec_is_refused_with_the_first_mismatch_and_the_right_one(
    unet: tuple[nn.Module, Path],
) -> None:
    file = unet[1]
    for spec, words in (
        ("unet:depth=4,width=4", r"'model.model.0.weight' is 3x3x4x4 and should be 4x3x4x4"),
        (
            "unet:depth=5,width=3",
            r"'model.model.1.model.3.model.3.model.2.weight' \(24\) is missing",
        ),
        ("resnet", r"'model.1.weight' \(64x3x7x7\) is missing"),
    ):
        with pytest.raises(UserError, match=f"{words}.*It looks like unet:depth=4,width=3"):
            read_network(file, generator=spec)
    for spec in ("patchgan", "unet"):  # the latter is a discriminator, too
        with pytest.raises(UserError, match="It looks like unet:depth=4"):
            read_network(file, discriminator=spec)
    state = torch.load(file, weights_only=True)
    state["model.model.0.weight"] = torch.zeros(3, 3, 5, 5)
    torch.save(state, file)
    with pytest.raises(UserError, match=r"looks like unet.* is 3x3x5x5 and should be 3x3x4x4"):
        read_network(file)


def test_a_tensor_that_is_not_finite_is_told(unet: tuple[nn.Module, Path]) -> None:
    state = torch.load(unet[1], weights_only=True)
    state["model.model.0.weight"][0] = float("nan")
    torch.save(state, unet[1])
    assert any("1 tensors hold NaN" in note for note in read_network(unet[1]).notes)


def test_nothing_is_written_over(unet: tuple[nn.Module, Path], tmp_path: Path) -> None:
    made = read_network(unet[1])
    (tmp_path / "m.safetensors").write_text("mine")
    with pytest.raises(UserError, match="is there already"):
        save_imported(made, tmp_path / "m.safetensors")
    assert (tmp_path / "m.safetensors").read_text() == "mine"


def test_both_networks_begin_a_run(
    unet: tuple[nn.Module, Path], tmp_path: Path, tiny: Callable[..., Any]
) -> None:
    torch.manual_seed(1)
    judge = create("discriminator", "patchgan:layers=1,width=3", **RGB)
    torch.save(port(judge, patchgan_keys(1)), tmp_path / "latest_net_D.pth")
    start = tmp_path / "start"
    for file in (unet[1], tmp_path / "latest_net_D.pth"):
        save_imported(read_network(file), f"{start}/")
    about = read_table(start / "discriminator.safetensors")["__metadata__"]
    assert "patchgan" in about["p2ptk-discriminator"]
    nets = {"generator": "unet:depth=4,width=3", "discriminator": "patchgan:layers=1,width=3"}
    # A rate of next to nothing, so that the weights are still those of the files.
    tiny("run", nets, {"init": str(start), "train": {"lr": 1e-12}}, stop_at=1)
    checkpoint = next((tmp_path / "run" / "checkpoints").iterdir())
    for name, network in (("generator", unet[0]), ("discriminator", judge)):
        found = load_tensors(checkpoint / f"{name}.safetensors")
        for key, parameter in network.named_parameters():
            torch.testing.assert_close(found[key], parameter.data, atol=1e-9, rtol=1e-6)
