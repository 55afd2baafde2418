"""Brightness, contrast and colours of one side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from kornia.color import hsv_to_rgb, rgb_to_hsv
from pydantic import Field
from torch import Tensor

from p2ptk import Side, UserError
from p2ptk_kornia.draws import RngOf, drawn, uniform
from p2ptk_kornia.sides import need_pictures

Amount = Annotated[float, Field(ge=0, le=1)]


class Color:
    """Change brightness, contrast, saturation, hue and gamma of one side, each at random.

    The other side stays as it is: so a model learns to bear such changes of its source, or to see
    targets under many lights. Grey pictures have brightness, contrast and gamma alone.

    side: which side is changed.
    brightness: the largest shift, of white's distance from black.
    contrast, saturation: their factors lie this much around 1.
    hue: the largest turn, of the colour circle; at most 0.5.
    gamma: its exponent lies this much around 1.
    p: the share of samples that are changed.
    """

    stage: Literal["derive", "data", "judge"] = "data"

    def __init__(
        self,
        *,
        side: Literal["source", "target"] = "source",
        brightness: Amount = 0.1,
        contrast: Amount = 0.2,
        saturation: Amount = 0.2,
        hue: Annotated[float, Field(ge=0, le=0.5)] = 0.02,
        gamma: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        p: Annotated[float, Field(ge=0, le=1)] = 1.0,
    ) -> None:
        self.side, self.p = side, p
        self.reach = torch.tensor(
            [brightness, contrast, saturation, hue, gamma], dtype=torch.float64
        )
        self.gamma, self.colours = gamma > 0, saturation > 0 or hue > 0

    def sides(self, source: Side, target: Side) -> None:
        side = source if self.side == "source" else target
        need_pictures("kornia-color", side, self.side, "changes the colours of pictures")

    def sample(
        self, numbers: Sequence[int], size: tuple[int, int], rng: RngOf
    ) -> dict[str, Tensor]:
        """Of each sample the five changes, N 5; 0 changes nothing."""

        def draw(generator: torch.Generator) -> dict[str, Tensor]:
            changed = uniform(generator, 0, 1) < self.p
            return {"change": (uniform(generator, -1, 1, 5) * self.reach * changed).float()}

        return drawn(numbers, rng, draw)

    def apply(
        self, source: Tensor, target: Tensor, params: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        if self.side == "source":
            return self._changed(source, params["change"]), target
        return source, self._changed(target, params["change"])

    def _changed(self, x: Tensor, change: Tensor) -> Tensor:
        channels = x.shape[1]
        if self.colours and channels not in (1, 3):
            raise UserError(
                f"kornia-color changes saturation and hue of 3 channels, and the {self.side} has "
                f"{channels}: give saturation=0,hue=0."
            )
        brightness, contrast, saturation, hue, gamma = (
            each[:, None, None, None] for each in change.to(x.dtype).unbind(1)
        )
        y = (x + 1) / 2 + brightness
        mean = y.mean((1, 2, 3), keepdim=True)
        y = ((y - mean) * (1 + contrast) + mean).clamp(0, 1)
        if self.colours and channels == 3:
            h, s, v = rgb_to_hsv(y).split(1, 1)
            h = (h + hue * 2 * math.pi) % (2 * math.pi)
            y = hsv_to_rgb(torch.cat([h, (s * (1 + saturation)).clamp(0, 1), v], 1))
        if self.gamma:
            # The root of 0 has no slope, which the judge's gradients would need.
            y = y.clamp(min=1e-6) ** (1 + gamma)
        return y * 2 - 1
