"""What the metrics that score one image at a time share."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class PerImage:
    """Keeps a score for every image and gives their mean, so batches make no difference.

    values: for each name the images' scores, in the order they came.
    """

    def __init__(self) -> None:
        self.values: dict[str, list[float]] = {}

    def add(self, name: str, scores: Tensor) -> None:
        """scores: one number an image."""
        self.values.setdefault(name, []).extend(scores.tolist())

    def compute(self) -> dict[str, float]:
        """The mean over images; nothing before the first one."""
        return {name: math.fsum(scores) / len(scores) for name, scores in self.values.items()}


@torch.no_grad()
def unit_range(image: Tensor) -> Tensor:
    """From [-1, 1] to float64 in [0, 1]; what lies outside is cut, as it is when saved."""
    if image.device.type == "mps":  # has no float64
        image = image.cpu()
    return (image.double().clamp(-1, 1) + 1) / 2
