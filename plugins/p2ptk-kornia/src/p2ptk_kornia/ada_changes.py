"""The changes that ADA chooses from, as matrices (Karras et al. 2020, appendix B)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from p2ptk_kornia.draws import normal, uniform

# By group, in the order they are done in.
MOVES = {
    "blit": ("mirror", "quarter-turn", "whole-shift"),
    "geometry": ("scale", "turn-before", "stretch", "turn-after", "shift"),
}
COLOURS = {"color": ("brightness", "contrast", "inversion", "hue", "saturation")}
TURNS = ("turn-before", "turn-after")

SCALE = 0.2  # deviation of log2 of the factor
SHIFT = 0.125  # deviation, and the largest whole shift, as a share of width and height
BRIGHTNESS, CONTRAST, SATURATION = 0.2, 0.5, 1.0  # deviations; of log2 but for the first


def rotations(moves: Sequence[str]) -> Tensor:
    """Which of the moves are turns by any angle."""
    return torch.tensor([name in TURNS for name in moves])


def changes(generator: torch.Generator, size: tuple[int, int]) -> dict[str, Tensor]:
    """One of each, drawn anew: 3 3 for the moves and 4 4 for colours, float64.

    Moves take places that come out, in [-1, 1], to places that are taken; turns keep shapes in
    pictures of any size.
    """
    height, width = size
    extent = torch.tensor([width, height], dtype=torch.float64)
    half = (extent - 1).clamp(min=1) / 2
    u = uniform(generator, 0, 1, 7)
    n = normal(generator, 7)
    whole = ((u[2:4] * 2 - 1) * SHIFT * extent).round() / half
    angles = (u[4:7] * 2 - 1) * math.pi
    factor, stretch = 2 ** (n[0] * SCALE), 2 ** (n[1] * SCALE)
    return {
        "mirror": _scaled(1 - 2 * (u[0] * 2).floor(), torch.ones_like(u[0])),
        "quarter-turn": _turned((u[1] * 4).floor() * (math.pi / 2), half),
        "whole-shift": _shifted(whole),
        "scale": _scaled(factor, factor),
        "turn-before": _turned(angles[0], half),
        "stretch": _scaled(stretch, 1 / stretch),
        "turn-after": _turned(angles[1], half),
        "shift": _shifted(n[2:4] * SHIFT * extent / half),
        **_colours(angles[2], n[4:7], uniform(generator, 0, 1)),
    }


def _scaled(x: Tensor, y: Tensor) -> Tensor:
    return torch.diag(torch.stack([x, y, torch.ones_like(x)]))


def _shifted(by: Tensor) -> Tensor:
    matrix = torch.eye(3, dtype=torch.float64)
    matrix[:2, 2] = by
    return matrix


def _turned(angle: Tensor, half: Tensor) -> Tensor:
    """A turn of the picture, whose half width and height in pixels are `half`."""
    matrix = torch.eye(3, dtype=torch.float64)
    sine, cosine = angle.sin(), angle.cos()
    matrix[:2, :2] = torch.stack([cosine, -sine, sine, cosine]).view(2, 2) * half / half[:, None]
    return matrix


def _colours(angle: Tensor, n: Tensor, u: Tensor) -> dict[str, Tensor]:
    """Affine maps of (r, g, b, 1), colours in [-1, 1]; grey lies along `axis`."""
    whole = torch.eye(4, dtype=torch.float64)
    axis = torch.tensor([1.0, 1.0, 1.0], dtype=torch.float64) / math.sqrt(3)
    along = torch.outer(axis, axis)
    across = torch.eye(3, dtype=torch.float64) - along
    x, y, z = axis.tolist()
    cross = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)

    def linear(matrix: Tensor) -> Tensor:
        made = whole.clone()
        made[:3, :3] = matrix
        return made

    brightness = whole.clone()
    brightness[:3, 3] = n[0] * BRIGHTNESS
    return {
        "brightness": brightness,
        "contrast": linear(torch.eye(3).double() * 2 ** (n[1] * CONTRAST)),
        "inversion": linear(across + along * (1 - 2 * (u * 2).floor())),
        "hue": linear(along + across * angle.cos() + cross * angle.sin()),
        "saturation": linear(along + across * 2 ** (n[2] * SATURATION)),
    }
