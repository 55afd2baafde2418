"""Label maps that metrics are tried on."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

COLOURS = ((0, 0, 170), (0, 85, 255), (255, 170, 0), (170, 255, 85), (255, 0, 0))


@pytest.fixture
def label_maps() -> Callable[..., list[Tensor]]:
    """label_maps(count, quality): uint8 3 64 64 of rectangles in five colours, JPEG or lossless."""

    def make(count: int = 6, quality: int | None = None) -> list[Tensor]:
        rng = np.random.default_rng(0)
        pictures = []
        for _ in range(count):
            numbers = np.zeros((64, 64), np.int64)
            for colour in (1, 1, 2, 3, 4):
                top, left = rng.integers(0, 40, 2)
                numbers[top : top + 20, left : left + 20] = colour
            picture = np.array(COLOURS, np.uint8)[numbers]
            if quality:
                file = io.BytesIO()
                Image.fromarray(picture).save(file, "jpeg", quality=quality)
                picture = np.array(Image.open(file))
            pictures.append(torch.from_numpy(picture).permute(2, 0, 1))
        return pictures

    return make
