"""The colours of label maps: found in pictures, and the nearest one of each pixel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from p2ptk.errors import UserError

Colour = tuple[int, int, int]
Numbers = NDArray[Any]

APART = 16  # largest difference in a channel between a colour and what JPEG makes of it
SHADOW = 0.02  # of a colour's pixels, up to which one within twice that difference is a trace of it
FLAT = 6  # largest difference to the four neighbours inside an area of one colour
LEAST = 0.0002  # of all pixels, for a colour to count
MOST = 256  # colours of pictures that were stored without loss; and of any palette
COVERED = 0.9  # of the flat areas, by colours that count: labels, not photos
PURE = 0.05  # of a colour's pixels that have it exactly, by the median colour: likewise


class Found(NamedTuple):
    """A palette as it was found.

    colours: the most frequent first. share: of the pixels inside flat areas that are near one.
    pure: whether the pictures look like label maps rather than photos.
    """

    colours: tuple[Colour, ...]
    share: float
    pure: bool


def find_palette(pictures: Iterable[Tensor]) -> Found:
    """The colours of label maps, uint8 3 H W each, whether stored with or without loss.

    With at most 256 colours in all they count as stored without loss, and are the palette. Else
    only pixels inside flat areas are looked at, since JPEG and scaling mix colours at borders: the
    most frequent colour is taken with all that is within 16 levels of it, then the next one, as
    long as it has 0.02 % of the pixels.
    """
    every, flat = _Counts(MOST), _Counts()
    pixels = 0
    for picture in pictures:
        codes = _codes(picture)
        pixels += codes.size
        every.add(codes)
        flat.add(codes[_inside(picture)])
    if not every.overflowed:
        order = (-every.counts).argsort(kind="stable")
        colours = tuple(_colour(code) for code in every.codes[order].tolist())
        return Found(colours, 1.0, len(colours) > 1)
    return _peaks(flat.codes, flat.counts, pixels)


def _peaks(codes: Numbers, counts: Numbers, pixels: int) -> Found:
    """The frequent colours of flat areas, each with what lies around it."""
    channels = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], 1)
    left = counts.copy()
    found: list[int] = []
    masses: list[int] = []
    purity: list[float] = []
    taken = 0
    while len(found) < MOST and len(left):
        best = int(left.argmax())
        near = np.abs(channels - channels[best]).max(1) <= APART
        mass = int(left[near].sum())
        if mass < LEAST * pixels:
            break
        apart = np.abs(channels[found] - channels[best]).max(1, initial=0)
        shadow = (apart <= 2 * APART) & (mass < SHADOW * np.array(masses))
        if not shadow.any():
            found.append(best)
            masses.append(mass)
            purity.append(int(left[best]) / mass)
        taken += mass
        left[near] = 0
    share = taken / max(int(counts.sum()), 1)
    pure = len(found) > 1 and sorted(purity)[len(purity) // 2] >= PURE and share >= COVERED
    return Found(tuple(_colour(int(codes[place])) for place in found), share, pure)


def nearest(image: Tensor, palette: Sequence[Colour]) -> Tensor:
    """uint8 N 3 H W to the number of the nearest colour, int64 N H W, by Euclidean distance."""
    colours = torch.tensor(palette, dtype=torch.float32, device=image.device)
    numbers = []
    for picture in image:
        pixels = picture.flatten(1).T.float()
        # |p - c|^2 less |p|^2, which is the same for all colours; exact in float32.
        distances = colours.square().sum(1) - 2 * pixels @ colours.T
        numbers.append(distances.argmin(1).view(image.shape[-2:]))
    return torch.stack(numbers)


def read_colours(texts: Sequence[str]) -> tuple[Colour, ...]:
    """`#rrggbb` or `rrggbb` each. Raises UserError for anything else."""
    colours = []
    for text in texts:
        digits = text.removeprefix("#")
        try:
            number = int(digits, 16) if len(digits) == 6 else -1
        except ValueError:
            number = -1
        if number < 0:
            raise UserError(f"the palette holds {text!r}, which is no colour like #1f77b4.")
        colours.append(_colour(number))
    if len(colours) < 2:
        raise UserError("a palette has at least two colours.")
    return tuple(colours)


def written(colours: Iterable[Colour]) -> list[str]:
    """Colours as `#rrggbb`."""
    return ["#{:02x}{:02x}{:02x}".format(*colour) for colour in colours]


class _Counts:
    """How often each colour code came; gives up beyond `most` codes."""

    def __init__(self, most: int | None = None) -> None:
        self.most, self.overflowed = most, False
        self.codes: Numbers = np.zeros(0, np.int64)
        self.counts: Numbers = np.zeros(0, np.int64)

    def add(self, codes: Numbers) -> None:
        if self.overflowed:
            return
        new, counts = np.unique(codes, return_counts=True)
        merged = np.concatenate([self.codes, new])
        self.codes, where = np.unique(merged, return_inverse=True)
        weights = np.concatenate([self.counts, counts])
        self.counts = np.bincount(where, weights, len(self.codes)).astype(np.int64)
        self.overflowed = self.most is not None and len(self.codes) > self.most


def _codes(picture: Tensor) -> Numbers:
    red, green, blue = picture.to(torch.int32)
    codes: Numbers = ((red << 16) + (green << 8) + blue).numpy()
    return codes


def _colour(code: int) -> Colour:
    return code >> 16, code >> 8 & 255, code & 255


def _inside(picture: Tensor) -> NDArray[np.bool_]:
    """Which pixels are like their four neighbours; none at the border."""
    x = picture.to(torch.int16)
    down = (x[:, 1:] - x[:, :-1]).abs().amax(0) <= FLAT
    right = (x[:, :, 1:] - x[:, :, :-1]).abs().amax(0) <= FLAT
    inside = torch.zeros(x.shape[1:], dtype=torch.bool)
    inside[1:-1, 1:-1] = down[:-1, 1:-1] & down[1:, 1:-1] & right[1:-1, :-1] & right[1:-1, 1:]
    marked: NDArray[np.bool_] = inside.numpy()
    return marked
