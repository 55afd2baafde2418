"""Sources that are worse than their photos: coarse, blurred, noisy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from kornia.filters import filter2d
from pydantic import Field
from torch import Tensor

from p2ptk import Side
from p2ptk_kornia.draws import RngOf, drawn, uniform
from p2ptk_kornia.pictures import unit
from p2ptk_kornia.sides import need_order, need_pictures


class _Worse:
    stage: Literal["derive", "data", "judge"] = "derive"

    def sides(self, source: Side, target: Side) -> None:
        if target.kind == "labels":
            need_pictures(type(self).__name__.lower(), target, "target", "makes pictures worse")


class SuperResolution(_Worse):
    """Make a photo coarse: reduced by `factor` with antialiasing, and enlarged to its size again.

    factor: how many times smaller height and width become; 4 loses 15 of 16 pixels.
    """

    def __init__(self, *, factor: Annotated[float, Field(gt=1, le=64)] = 4.0) -> None:
        self.factor = factor

    def sample(
        self, numbers: Sequence[int], size: tuple[int, int], rng: RngOf
    ) -> dict[str, Tensor]:
        return {}

    def apply(
        self, source: Tensor, target: Tensor, params: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        full = source.shape[-2:]
        height, width = (max(1, round(n / self.factor)) for n in full)
        small = F.interpolate(source, (height, width), mode="bicubic", antialias=True)
        return F.interpolate(small.clamp(-1, 1), full, mode="bicubic").clamp(-1, 1), target


class Deblur(_Worse):
    """Blur a photo: out of focus, shaken, or either.

    kind: `gaussian`, `motion` (along a line) or `both` (one of the two for each photo).
    sigma: the smallest and largest deviation of the Gaussian, in pixels.
    length: the shortest and longest line of motion, in pixels.
    """

    def __init__(
        self,
        *,
        kind: Literal["gaussian", "motion", "both"] = "both",
        sigma: tuple[Annotated[float, Field(gt=0, le=32)], Annotated[float, Field(gt=0, le=32)]] = (
            0.5,
            3.0,
        ),
        length: tuple[
            Annotated[float, Field(ge=1, le=128)], Annotated[float, Field(ge=1, le=128)]
        ] = (5.0, 21.0),
    ) -> None:
        self.kind = kind
        self.sigma = need_order("deblur", "sigma", sigma)
        self.length = need_order("deblur", "length", length)
        reaches = {"gaussian": 3 * sigma[1], "motion": length[1] / 2}
        reaches["both"] = max(reaches.values())
        self.reach = math.ceil(reaches[kind])

    def sample(
        self, numbers: Sequence[int], size: tuple[int, int], rng: RngOf
    ) -> dict[str, Tensor]:
        """`kernel`: N k k, each of sum 1."""

        def draw(generator: torch.Generator) -> dict[str, Tensor]:
            which, amount, angle = uniform(generator, 0, 1, 3).tolist()
            if self.kind == "motion" or (self.kind == "both" and which < 0.5):
                length = self.length[0] + (self.length[1] - self.length[0]) * amount
                kernel = motion_kernel(self.reach, length, angle * math.pi)
            else:
                sigma = self.sigma[0] + (self.sigma[1] - self.sigma[0]) * amount
                kernel = gaussian_kernel(self.reach, sigma)
            return {"kernel": kernel.float()}

        return drawn(numbers, rng, draw)

    def apply(
        self, source: Tensor, target: Tensor, params: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        kernel = params["kernel"].to(source.dtype)
        return filter2d(source, kernel, border_type="replicate").clamp(-1, 1), target


def gaussian_kernel(reach: int, sigma: float) -> Tensor:
    """k k float64 of sum 1, with k = 2 * reach + 1."""
    places = torch.arange(-reach, reach + 1, dtype=torch.float64)
    line = (-0.5 * (places / sigma) ** 2).exp()
    return torch.outer(line, line) / line.sum() ** 2


def motion_kernel(reach: int, length: float, angle: float) -> Tensor:
    """k k float64 of sum 1: a line through the middle, `length` long and a pixel wide."""
    places = torch.arange(-reach, reach + 1, dtype=torch.float64)
    y, x = torch.meshgrid(places, places, indexing="ij")
    along = (x * math.cos(angle) + y * math.sin(angle)).abs()
    beside = (y * math.cos(angle) - x * math.sin(angle)).abs()
    # What of a pixel the line covers, roughly: it fades over one pixel at its ends and edges.
    line = (length / 2 + 0.5 - along).clamp(0, 1) * (1 - beside).clamp(0, 1)
    return line / line.sum()


class Denoise(_Worse):
    """Add noise to a photo.

    kind: `gaussian`, the same everywhere, or `poisson`, as light's: its variance is in proportion
        to brightness (approximated by a normal distribution; `sigma` is that of white).
    sigma: the smallest and largest deviation, of white's distance from black.
    """

    def __init__(
        self,
        *,
        kind: Literal["gaussian", "poisson"] = "gaussian",
        sigma: tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=0, le=1)]] = (
            0.0,
            0.2,
        ),
    ) -> None:
        self.kind = kind
        self.sigma = need_order("denoise", "sigma", sigma)

    def sample(
        self, numbers: Sequence[int], size: tuple[int, int], rng: RngOf
    ) -> dict[str, Tensor]:
        """`sigma` N, and the `seed` N that the noise is made from where the photos are."""

        def draw(generator: torch.Generator) -> dict[str, Tensor]:
            sigma = uniform(generator, *self.sigma)
            seed = torch.randint(2**32, (), generator=generator)
            return {"sigma": sigma.float(), "seed": seed}

        return drawn(numbers, rng, draw)

    def apply(
        self, source: Tensor, target: Tensor, params: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        sigma = params["sigma"].to(source.dtype)[:, None, None, None]
        if self.kind == "poisson":
            sigma = sigma * unit(source).clamp(0, 1).sqrt()
        noise = normal_noise(params["seed"], source.shape[1:]).to(source.dtype)
        return (source + 2 * sigma * noise).clamp(-1, 1), target


def normal_noise(seed: Tensor, shape: torch.Size) -> Tensor:
    """Normal numbers N *shape, float32, that follow from seeds (N, int64) on any device alike.

    Each place is hashed with the seed (the finaliser `lowbias32`, with constants below 2^31 so that
    int64 holds the products), and two hashes make a normal number by Box and Muller's formula. A
    generator could not do this: its seed would have to be read from the device.
    """
    places = torch.arange(math.prod(shape), device=seed.device)
    one = _hashed(places ^ _hashed(seed)[:, None])
    other = _hashed(one ^ 0x5BD1E995)
    radius = (-2 * ((one + 1).double() / 2**32).log()).sqrt()
    made = radius * (other.double() * (2 * math.pi / 2**32)).cos()
    return made.float().view(-1, *shape)


def _hashed(x: Tensor) -> Tensor:
    """32 bits to 32 bits, in int64."""
    low = 0xFFFFFFFF
    x = ((x ^ (x >> 16)) * 0x21F0AAAD) & low
    x = ((x ^ (x >> 15)) * 0x735A2D97) & low
    return x ^ (x >> 15)
