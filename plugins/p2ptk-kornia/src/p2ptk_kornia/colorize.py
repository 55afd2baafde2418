"""Sources without colour: for models that colour photos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from kornia.color import lab_to_rgb, rgb_to_lab
from torch import Tensor

from p2ptk import Side, UserError
from p2ptk_kornia.draws import RngOf
from p2ptk_kornia.pictures import luma, unit
from p2ptk_kornia.sides import need_pictures

MOST = 110.0  # |a| and |b| of sRGB's colours are below it


class Colorize:
    """Take a photo's colours away: the source has one channel.

    space: `lab`: from L the network gives a and b alone, 2 channels (Zhang et al. 2016); its
        translation gets the source's L back, so brightness is exact. `grey`: from luma (Rec. 601)
        it gives red, green and blue.
    """

    stage: Literal["derive", "data", "judge"] = "derive"

    def __init__(self, *, space: Literal["lab", "grey"] = "lab") -> None:
        self.space = space

    def sides(self, source: Side, target: Side) -> None:
        need_pictures("colorize", target, "target", "takes the colours of pictures away")

    def sample(
        self, numbers: Sequence[int], size: tuple[int, int], rng: RngOf
    ) -> dict[str, Tensor]:
        return {}

    def apply(
        self, source: Tensor, target: Tensor, params: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        for x in (source, target):
            if x.shape[1] != 3:
                raise UserError(f"colorize needs pictures of 3 channels, not of {x.shape[1]}.")
        if self.space == "grey":
            return luma(source), target
        lab = rgb_to_lab(unit(target))
        own = lab if source is target else rgb_to_lab(unit(source))
        return own[:, :1] / 50 - 1, lab[:, 1:] / MOST

    def restore(self, source: Tensor, image: Tensor) -> Tensor:
        """L and (a, b), both in [-1, 1], to red, green and blue."""
        if self.space == "grey":
            return image
        lightness, colours = (source.float() + 1) * 50, image.float().clamp(-1, 1) * MOST
        return lab_to_rgb(torch.cat([lightness, colours], 1)) * 2 - 1
