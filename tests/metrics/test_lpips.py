"""LPIPS against the package itself, with backbone weights drawn at random and read from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from p2ptk import create
from p2ptk.errors import Unavailable, UserError
from p2ptk.metrics.lpips import LPIPS

lpips: Any = pytest.importorskip("lpips")
models: Any = pytest.importorskip("torchvision.models")


@pytest.fixture(scope="module")
def backbone() -> dict[str, Tensor]:
    """SqueezeNet's weights at random, under torchvision's names."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tensors: dict[str, Tensor] = models.squeezenet1_1(weights=None).state_dict()
    return tensors


@pytest.fixture(scope="module")
def weights(backbone: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "squeeze.pth"
    torch.save(backbone, path)
    return path


def images() -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(1)
    x = torch.rand(3, 3, 40, 48, generator=rng) * 2 - 1
    return x, (x + torch.randn(x.shape, generator=rng)).clamp(-1, 1)


@pytest.mark.filterwarnings("ignore")
def test_is_the_packages_value(backbone: dict[str, Tensor], weights: Path) -> None:
    reference = lpips.LPIPS(net="squeeze", pnet_rand=True, verbose=False)
    for name, tensor in reference.net.state_dict().items():
        tensor.copy_(backbone["features." + name.partition(".")[2]])
    x, y = images()
    metric = LPIPS(net="squeeze", weights=weights)
    metric.update(x[:1], y[:1], x)
    metric.update(x[1:], y[1:], x)
    with torch.no_grad():
        expected = reference(x, y).flatten().tolist()
    assert metric.values == {"lpips-squeeze": pytest.approx(expected, rel=1e-5)}
    assert min(expected) > 0


def test_safetensors_grey_and_values_out_of_range(
    backbone: dict[str, Tensor], weights: Path, tmp_path: Path
) -> None:
    save_file(backbone, tmp_path / "w.safetensors")
    x, y = (z[:, :1] for z in images())
    one = create("metric", f"lpips:net=squeeze,weights={weights}")
    other = create("metric", f"lpips:net=squeeze,weights={tmp_path / 'w.safetensors'}")
    one.update(x, y, x)
    other.update(3 * x.expand(-1, 3, -1, -1).clamp(-1 / 3, 1 / 3), y.expand(-1, 3, -1, -1), x)
    assert len(one.values["lpips-squeeze"]) == 3
    assert all(value > 0 for value in one.values["lpips-squeeze"] + other.values["lpips-squeeze"])
    same = create("metric", f"lpips:net=squeeze,weights={weights}")
    same.update(5 * x, 5 * x, x)
    assert same.compute() == {"lpips-squeeze": 0.0}


def test_building_it_draws_no_number_and_says_nothing(
    weights: Path, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    from p2ptk.metrics import lpips as module

    module._network.cache_clear()
    before = torch.get_rng_state()
    LPIPS(net="squeeze", weights=weights)
    assert torch.equal(torch.get_rng_state(), before)
    assert not recwarn.list
    assert capfd.readouterr() == ("", "")


def test_what_it_can_not_take(weights: Path, tmp_path: Path) -> None:
    metric = LPIPS(net="squeeze", weights=weights)
    x = torch.zeros(1, 12, 40, 40)
    with pytest.raises(UserError, match="1 or 3 channels, and these have 12"):
        metric.update(x, x, x)
    with pytest.raises(UserError, match="at least 32 pixels"):
        metric.update(x[:, :3, :20], x[:, :3, :20], x)
    with pytest.raises(UserError, match=r"no weights file .*none\.pth"):
        LPIPS(weights=tmp_path / "none.pth")
    with pytest.raises(UserError, match="other weights"):
        LPIPS(net="alex", weights=weights)
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(UserError, match="can't be read as weights"):
        LPIPS(weights=tmp_path / "text.pth")


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "lpips", None)
    with pytest.raises(Unavailable, match=r"pip install 'p2ptk\[metrics\]'"):
        LPIPS()
