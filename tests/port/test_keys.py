from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from p2ptk.discriminators.patchgan import PatchGAN
from p2ptk.errors import UserError
from p2ptk.generators.resnet import ResNet
from p2ptk.generators.unet import UNet
from p2ptk.port.keys import patchgan_keys, rename, resnet_keys, unet_keys

RGB = {"source_channels": 3, "target_channels": 3}


def modules_with_state(network: nn.Module) -> set[str]:
    return {name.rpartition(".")[0] for name in network.state_dict()}


@pytest.mark.parametrize("depth", [5, 7, 8])
def test_unet_covers_every_module_once(depth: int) -> None:
    ours = list(unet_keys(depth).values())
    assert len(ours) == len(set(ours))
    assert set(ours) == modules_with_state(UNet(**RGB, depth=depth, width=1))


@pytest.mark.parametrize("options", [{}, {"dropout": 0.5}, {"padding": "zero"}, {"blocks": 6}])
def test_resnet_covers_every_module_once(options: dict[str, Any]) -> None:
    keys = resnet_keys(
        options.get("blocks", 9),
        dropout="dropout" in options,
        zero_padding=options.get("padding") == "zero",
    )
    assert len(keys) == len(set(keys.values()))
    assert set(keys.values()) == modules_with_state(ResNet(**RGB, width=1, **options))


@pytest.mark.parametrize("layers", [0, 1, 3, 5])
def test_patchgan_covers_every_module_once(layers: int) -> None:
    keys = patchgan_keys(layers)
    assert len(keys) == len(set(keys.values()))
    assert set(keys.values()) == modules_with_state(PatchGAN(**RGB, layers=layers, width=1))


def test_known_places() -> None:
    assert unet_keys(8)["model.model.1.model.3.model.1"] == "encoder.down.2.conv"
    assert unet_keys(8)["model.model.3"] == "up.7.conv"
    assert resnet_keys()["model.26"] == "last"
    assert resnet_keys(dropout=True)["model.10.conv_block.6"] == "blocks.0.conv2"
    assert resnet_keys(zero_padding=True)["model.10.conv_block.3"] == "blocks.0.conv2"
    assert patchgan_keys()["model.11"] == "last"
    assert patchgan_keys(0)["net.5"] == "last"


def test_rename_moves_each_tensor_and_refuses_strangers() -> None:
    x = torch.zeros(1)
    renamed = rename({"model.0.weight": x, "model.0.bias": x}, patchgan_keys())
    assert list(renamed) == ["layers.0.conv.weight", "layers.0.conv.bias"]
    with pytest.raises(UserError, match=r"'model\.1\.weight'"):
        rename({"model.1.weight": x}, patchgan_keys())
