"""What the tests share: the plugin's components by name, a sample's numbers, and a few photos."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from p2ptk import list_components, register
from p2ptk_kornia import plugin

RngOf = Callable[[int], torch.Generator]


@pytest.fixture(scope="session", autouse=True)
def _registered() -> None:
    """So that the tests run whether the plugin is installed and switched on, or not."""
    for component in plugin.p2ptk_augmentations():
        if not list_components("augmentation", component.name):
            register("augmentation", component.name, component.target)


@pytest.fixture
def rng() -> RngOf:
    """Each sample's generator, as the core gives it."""
    return lambda number: torch.Generator().manual_seed(number * 2654435761 % 2**32)


@pytest.fixture
def images() -> Tensor:
    """4 3 24 32 in [-1, 1]: smooth, with some texture."""
    numbers = torch.Generator().manual_seed(0)
    coarse = torch.rand(4, 3, 4, 5, generator=numbers) * 2 - 1
    smooth = torch.nn.functional.interpolate(coarse, (24, 32), mode="bilinear")
    return (smooth + 0.1 * torch.randn(4, 3, 24, 32, generator=numbers)).clamp(-1, 1)


@pytest.fixture
def places() -> Tensor:
    """1 3 24 32: each pixel's own x and y, in [-1, 1], and 1."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 24), torch.linspace(-1, 1, 32), indexing="ij")
    return torch.stack([x, y, torch.ones_like(x)])[None]


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 10 pictures of 40 to 48 pixels: discs of bright colours on dark ones."""
    folder = tmp_path_factory.mktemp("photos")
    numbers = np.random.default_rng(0)
    y, x = np.mgrid[:40, :48]
    for i in range(10):
        pixels = np.ones((40, 48, 3)) * numbers.integers(0, 120, 3)
        for _ in range(4):
            cy, cx, r = numbers.integers(0, 40), numbers.integers(0, 48), numbers.integers(4, 14)
            pixels[(y - cy) ** 2 + (x - cx) ** 2 < r**2] = numbers.integers(100, 255, 3)
        Image.fromarray(pixels.astype("uint8")[:, : 44 + 4 * (i % 2)]).save(folder / f"{i}.png")
    return folder
