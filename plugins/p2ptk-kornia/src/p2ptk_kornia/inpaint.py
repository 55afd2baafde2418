"""Sources with holes: for models that fill them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import torch
from PIL import Image, ImageDraw
from pydantic import Field
from torch import Tensor

from p2ptk import Side, UserError
from p2ptk_kornia.draws import RngOf, drawn, uniform
from p2ptk_kornia.sides import need_pictures

Count = Annotated[int, Field(ge=0, le=100)]
BENDS = 8  # of a stroke at most


class Inpaint:
    """Make holes of any shape in a photo: strokes and boxes.

    The source is the photo with mid-grey in the holes, and one more channel: 1 where it is known,
    -1 in the holes. So a PNG of 4 channels, with grey in its clear parts, is a source as well. What
    is known is laid over the translation, unless `keep` is false.

    strokes, boxes: how many at most; each photo has one hole at least.
    width: of a stroke at most, as a share of the shorter side.
    box: the largest height and width of a box, as a share of the sides.
    keep: give the known pixels as they are.
    """

    stage: Literal["derive", "data", "judge"] = "derive"

    def __init__(
        self,
        *,
        strokes: Count = 8,
        boxes: Count = 2,
        width: Annotated[float, Field(gt=0, le=0.5)] = 0.08,
        box: Annotated[float, Field(gt=0, le=1)] = 0.35,
        keep: bool = True,
    ) -> None:
        if not strokes and not boxes:
            raise UserError("inpaint: strokes or boxes should be at least 1.")
        self.strokes, self.boxes, self.keep = strokes, boxes, keep
        self.width, self.box = width, box

    def sides(self, source: Side, target: Side) -> None:
        if target.kind == "labels":
            need_pictures("inpaint", target, "target", "makes holes in pictures")

    def sample(
        self, numbers: Sequence[int], size: tuple[int, int], rng: RngOf
    ) -> dict[str, Tensor]:
        """`known`: N 1 H W of bool."""

        def draw(generator: torch.Generator) -> dict[str, Tensor]:
            return {"known": ~self._holes(size, generator)}

        return drawn(numbers, rng, draw)

    def apply(
        self, source: Tensor, target: Tensor, params: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        known = params["known"].to(source.dtype)
        return torch.cat([source * known, known * 2 - 1], 1), target

    def restore(self, source: Tensor, image: Tensor) -> Tensor:
        if not self.keep:
            return image
        return torch.where(source[:, -1:] > 0, source[:, :-1].to(image.dtype), image)

    def _holes(self, size: tuple[int, int], generator: torch.Generator) -> Tensor:
        """1 H W of bool: strokes that wander, and boxes."""
        height, width = size
        mask = Image.new("L", (width, height))
        pen = ImageDraw.Draw(mask)
        share = uniform(generator, 0, 1, 2).tolist()
        # At least one stroke, if there may be any, and else one box.
        strokes = math.ceil((1 - share[0]) * self.strokes)
        boxes = math.ceil((1 - share[1]) * (self.boxes + bool(self.strokes))) - bool(self.strokes)
        for _ in range(strokes):
            self._stroke(pen, size, uniform(generator, 0, 1, 5 + 2 * BENDS).tolist())
        for _ in range(boxes):
            top, left, high, wide = uniform(generator, 0, 1, 4).tolist()
            high, wide = (1 + high) / 2 * self.box * height, (1 + wide) / 2 * self.box * width
            top, left = top * (height - high), left * (width - wide)
            pen.rectangle((left, top, left + wide, top + high), fill=255)
        return torch.from_numpy(np.array(mask))[None] > 0

    def _stroke(
        self, pen: ImageDraw.ImageDraw, size: tuple[int, int], draws: Sequence[float]
    ) -> None:
        """A line of some bends, round at its ends and bends."""
        height, width = size
        short = min(size)
        x, y, angle, thickness, bends, *turns = draws
        x, y, angle = x * width, y * height, angle * 2 * math.pi
        thick = max(1.0, (1 + thickness) / 2 * self.width * short)
        places = [(x, y)]
        for bend in range(1 + int(bends * BENDS)):
            angle += (turns[2 * bend] - 0.5) * math.pi
            length = (0.05 + 0.15 * turns[2 * bend + 1]) * short
            x = min(max(x + length * math.cos(angle), 0.0), width)
            y = min(max(y + length * math.sin(angle), 0.0), height)
            places.append((x, y))
        pen.line(places, fill=255, width=round(thick))
        for x, y in places:
            pen.ellipse((x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2), fill=255)
