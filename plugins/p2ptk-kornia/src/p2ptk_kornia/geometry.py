"""Both sides moved alike by a homography: rotated, shifted, scaled, sheared, or in perspective."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from kornia.geometry.transform import get_perspective_transform, remap
from pydantic import Field
from torch import Tensor

from p2ptk_kornia.draws import RngOf, drawn, uniform
from p2ptk_kornia.sides import Padding, Resampled, need_order

Factor = Annotated[float, Field(gt=0, le=100)]
Share = Annotated[float, Field(ge=0, le=1)]

# Corners in [-1, 1]: x, y.
CORNERS = ((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0))


class Homography(Resampled):
    """What `Affine` and `Perspective` share: one matrix a sample moves both sides.

    params: `matrix`, N 3 3: from the place of a pixel that comes out to where it is taken from,
    both in [-1, 1].
    """

    stage: Literal["derive", "data", "judge"] = "data"
    padding: Padding

    def apply(
        self, source: Tensor, target: Tensor, params: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        return self.moved(source, target, params)

    def geometry(self, x: Tensor, params: dict[str, Tensor], nearest: bool = False) -> Tensor:
        """N C H W moved; interpolated, or by nearest neighbour."""
        return warp(x, params["matrix"], nearest, self.padding)


class Affine(Homography):
    """Rotate, shift, scale and shear both sides alike, each by a random amount.

    degrees: the largest turn to either side.
    translate: the largest shift, as a share of width and height.
    scale: the smallest and the largest size, of 1.
    shear: the largest shear along x, in degrees.
    p: the share of samples that are changed.
    padding: what comes in from outside: `reflection`, `border` (the edge's colour) or `zeros`
        (mid-grey; no class, in label maps).
    """

    def __init__(
        self,
        *,
        degrees: Annotated[float, Field(ge=0, le=180)] = 10.0,
        translate: Share = 0.05,
        scale: tuple[Factor, Factor] = (0.9, 1.1),
        shear: Annotated[float, Field(ge=0, lt=90)] = 5.0,
        p: Share = 1.0,
        padding: Padding = "reflection",
    ) -> None:
        self.degrees, self.translate, self.shear = degrees, translate, shear
        self.scale = need_order("kornia-affine", "scale", scale)
        self.p, self.padding = p, padding

    def sample(
        self, numbers: Sequence[int], size: tuple[int, int], rng: RngOf
    ) -> dict[str, Tensor]:
        def draw(generator: torch.Generator) -> dict[str, Tensor]:
            chance, turn, x, y, grow, slant = uniform(generator, 0, 1, 6).unbind()
            matrix = affine_matrix(
                size,
                turn=math.radians(self.degrees) * (2 * turn - 1),
                shift=(self.translate * (4 * x - 2), self.translate * (4 * y - 2)),
                scale=self.scale[0] + (self.scale[1] - self.scale[0]) * grow,
                slant=math.radians(self.shear) * (2 * slant - 1),
            )
            return {"matrix": torch.where(chance < self.p, matrix, torch.eye(3).double()).float()}

        return drawn(numbers, rng, draw)


class Perspective(Homography):
    """Look at both sides from elsewhere: each corner moves on its own.

    distortion: how far a corner may move along x and y, as a share of width and height.
    p: the share of samples that are changed.
    padding: what comes in from outside: `reflection`, `border` or `zeros`.
    """

    def __init__(
        self,
        *,
        distortion: Annotated[float, Field(ge=0, lt=0.5)] = 0.1,
        p: Share = 1.0,
        padding: Padding = "reflection",
    ) -> None:
        self.distortion, self.p, self.padding = distortion, p, padding

    def sample(
        self, numbers: Sequence[int], size: tuple[int, int], rng: RngOf
    ) -> dict[str, Tensor]:
        corners = torch.tensor(CORNERS, dtype=torch.float64)

        def draw(generator: torch.Generator) -> dict[str, Tensor]:
            moved = corners + uniform(generator, -2, 2, 4, 2) * self.distortion
            changed = uniform(generator, 0, 1) < self.p
            return {"corners": torch.where(changed, moved, corners)}

        to = drawn(numbers, rng, draw)["corners"]
        return {"matrix": get_perspective_transform(corners.expand_as(to), to).float()}


def affine_matrix(
    size: tuple[int, int],
    *,
    turn: Tensor,
    shift: tuple[Tensor, Tensor],
    scale: Tensor,
    slant: Tensor,
) -> Tensor:
    """3 3, from places that come out to places that are taken, in [-1, 1].

    turn, slant: radians. shift: of x and y, in [-1, 1]'s units. A turn is one of the picture, not
    of the square that [-1, 1] is.
    """
    half = torch.tensor([max(n - 1, 1) / 2 for n in (size[1], size[0])], dtype=torch.float64)
    zero, one = torch.zeros_like(turn), torch.ones_like(turn)
    rotation = _rows((turn.cos(), -turn.sin(), zero), (turn.sin(), turn.cos(), zero))
    shear = _rows((one, slant.tan(), zero), (zero, one, zero))
    # Pixels from the centre, and back to [-1, 1].
    wide = torch.diag(torch.cat([half, half.new_ones(1)]))
    forth = wide.inverse() @ rotation @ shear @ torch.diag(torch.stack([scale, scale, one])) @ wide
    return (_rows((one, zero, shift[0]), (zero, one, shift[1])) @ forth).inverse()


def _rows(*rows: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """3 3, of two rows and (0, 0, 1)."""
    last = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    return torch.stack([*(torch.stack(row) for row in rows), last])


def warp(x: Tensor, matrix: Tensor, nearest: bool, padding: Padding) -> Tensor:
    """N C H W, each pixel taken from where `matrix` (N 3 3, in [-1, 1]) says."""
    height, width = x.shape[-2:]
    across = torch.linspace(-1, 1, width, device=x.device, dtype=x.dtype)
    down = torch.linspace(-1, 1, height, device=x.device, dtype=x.dtype)[:, None]
    # Not as a matrix product, which a GPU may round to 10 bits: an eighth of a pixel of 256.
    rows = matrix.to(x.dtype)[..., None, None].unbind(1)
    u, v, w = (a * across + b * down + c for a, b, c in (row.unbind(1) for row in rows))
    return sampled(x, u / w, v / w, nearest, padding)


def sampled(x: Tensor, across: Tensor, down: Tensor, nearest: bool, padding: Padding) -> Tensor:
    """N C H W, each pixel taken from the place (N H W each, in [-1, 1]) given for it."""
    return remap(
        x,
        across,
        down,
        "nearest" if nearest else "bilinear",
        padding_mode=padding,
        align_corners=True,
        normalized_coordinates=True,
    )
