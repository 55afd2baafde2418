"""DiffAugment: what the discriminator sees is changed at random, differentiably."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from p2ptk import Side, UserError
from p2ptk_kornia.draws import RngOf, drawn, uniform

Share = Annotated[float, Field(ge=0, le=1)]


class DiffAugment:
    """Change all that D sees, real and fake alike (Zhao et al. 2020): it then overfits later.

    Source and image move and lose the same square together; the colours of the image alone are
    changed, where it is a picture and not labels or values.

    policy: which of `color`, `translation`, `cutout`.
    shift: the largest translation, as a share of width and height; zeros come in.
    hole: height and width of the square that is cut out, as a share of the image's.
    """

    stage: Literal["derive", "data", "judge"] = "judge"

    def __init__(
        self,
        *,
        policy: tuple[Literal["color", "translation", "cutout"], ...] = (
            "color",
            "translation",
            "cutout",
        ),
        shift: Share = 0.125,
        hole: Share = 0.5,
    ) -> None:
        if not policy:
            raise UserError("diffaugment: policy should name color, translation or cutout.")
        self.policy, self.shift, self.hole = policy, shift, hole
        self.pictures = True

    def sides(self, source: Side, target: Side) -> None:
        self.pictures = target.kind == "image"

    def sample(
        self, numbers: Sequence[int], size: tuple[int, int], rng: RngOf
    ) -> dict[str, Tensor]:
        """`color` N 3 (brightness, saturation, contrast), `shift` N 2 (down, right) in pixels, and
        `hole` N 4 (top, bottom, left, right)."""

        def draw(generator: torch.Generator) -> dict[str, Tensor]:
            draws = uniform(generator, 0, 1, 7)
            most = torch.tensor([round(n * self.shift) for n in size])
            shift = (draws[3:5] * (2 * most + 1)).floor().long() - most
            # Its middle lies anywhere in the image, so the square may lie half outside.
            extent = torch.tensor(size, dtype=torch.float64)
            middle, half = (draws[5:7] * extent).floor(), (extent * self.hole / 2).round()
            ends = torch.stack([middle - half, middle + half], 1)
            return {
                "color": torch.stack([draws[0] - 0.5, draws[1] * 2, draws[2] + 0.5]).float(),
                "shift": shift,
                "hole": ends.flatten().long(),
            }

        return drawn(numbers, rng, draw)

    def apply(
        self, source: Tensor, target: Tensor, params: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        if "color" in self.policy and self.pictures:
            target = _recoloured(target, params["color"])
        return self.geometry(source, params), self.geometry(target, params)

    def geometry(self, x: Tensor, params: dict[str, Tensor], nearest: bool = True) -> Tensor:
        """Move N C H W, and cut out; pixels keep their values, so `nearest` has no say."""
        if "translation" in self.policy:
            x = _moved(x, params["shift"])
        if "cutout" in self.policy:
            x = x * ~_inside(x.shape[-2:], params["hole"])
        return x


def _recoloured(x: Tensor, color: Tensor) -> Tensor:
    """Brightness is added; saturation and contrast are factors around grey and around the mean."""
    brightness, saturation, contrast = (c[:, None, None, None] for c in color.to(x.dtype).unbind(1))
    x = x + brightness
    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * saturation
    mean = x.mean((1, 2, 3), keepdim=True)
    return mean + (x - mean) * contrast


def _moved(x: Tensor, shift: Tensor) -> Tensor:
    """N C H W shifted by whole pixels (N 2: down, right); zeros come in."""
    for dim, by in zip((2, 3), shift.unbind(1), strict=True):
        length = x.shape[dim]
        taken = torch.arange(length, device=x.device) - by[:, None]
        there = (taken >= 0) & (taken < length)
        shape = [-1, 1, length, 1] if dim == 2 else [-1, 1, 1, length]
        x = x.gather(dim, taken.clamp(0, length - 1).view(shape).expand_as(x)) * there.view(shape)
    return x


def _inside(size: torch.Size, hole: Tensor) -> Tensor:
    """N 1 H W: whether a pixel lies in the sample's rectangle (top, bottom, left, right)."""
    height, width = size
    top, bottom, left, right = (edge[:, None, None, None] for edge in hole.unbind(1))
    y = torch.arange(height, device=hole.device)[:, None]
    x = torch.arange(width, device=hole.device)
    return (y >= top) & (y < bottom) & (x >= left) & (x < right)
