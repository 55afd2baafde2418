"""The colours of label maps, found from the pictures, also after JPEG.

JPEG blurs colours along edges, so that the labels of facades hold thousands of colours and a
quarter of the pixels belongs to none. In even areas it moves a colour by a few levels only: those
are counted, the densest colour is taken with all that lie within `distance` of it, and so on.
Facades give their 12 colours at any distance from 12 to 40.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from p2ptk.dataprep.views import Pixels

DISTANCE = 20.0  # in RGB, of 0 to 255 a channel
EVEN = 8  # levels by which the neighbours of an even area may differ
RAREST = 2e-4  # of the even area, below which a colour is a trace of JPEG
MOST = 64  # colours; pictures with more are no label maps
EXACT = 256  # different colours in all, up to which they may be a palette as they are
_SAMPLED = 20_000  # pixels of a picture whose nearest colour is looked up

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Colour:
    """A colour and the share of all pixels that are nearer to it than to the others."""

    rgb: tuple[int, int, int]
    share: float

    @property
    def text(self) -> str:
        """`#rrggbb`."""
        return "#{:02x}{:02x}{:02x}".format(*self.rgb)


@dataclass(frozen=True)
class Palette:
    """Colours by their share, the commonest first.

    exact: the pictures hold these colours and no other.
    covered: the share of even areas that is near one of them. even: of all pixels, those in such
        areas.
    """

    colours: tuple[Colour, ...]
    exact: bool
    covered: float
    even: float

    @property
    def labels(self) -> bool:
        """Whether these are label maps, as far as colours tell.

        Facades' labels cover 0.998, street maps 0.80 to 0.89, photos and reliefs 0.45 to 0.71.
        """
        return self.exact or (self.covered >= 0.93 and self.even >= 0.25)

    @property
    def photos(self) -> bool:
        """Whether a palette would have no meaning for them."""
        return not self.exact and self.covered < 0.75


def find_palette(images: Iterable[Pixels], distance: float = DISTANCE) -> Palette:
    """The colours of pictures H W 3.

    distance: colours nearer than this are one.
    """
    even_counts: dict[int, int] = {}
    all_codes: set[int] = set()
    samples: list[NDArray[np.uint8]] = []
    pixels = even_pixels = 0
    for image in images:
        codes = _codes(image)
        if len(all_codes) <= EXACT:
            all_codes.update(np.unique(codes).tolist())
        kinds, numbers = np.unique(codes[_even(image)], return_counts=True)
        for kind, number in zip(kinds.tolist(), numbers.tolist(), strict=True):
            even_counts[kind] = even_counts.get(kind, 0) + number
        pixels += codes.size
        even_pixels += int(numbers.sum())
        flat = image.reshape(-1, 3)
        samples.append(flat[:: max(1, len(flat) // _SAMPLED)])
    exact = _rgb(np.array(sorted(all_codes)))
    if len(exact) <= EXACT and _apart(exact, distance):
        return Palette(_shares(exact, samples), True, 1.0, even_pixels / max(pixels, 1))
    colours = _rgb(np.array(list(even_counts), np.int64))
    counts = np.array(list(even_counts.values()), np.int64)
    found, covered = _gather(colours, counts, distance)
    return Palette(_shares(found, samples), False, covered, even_pixels / pixels)


def swatch(found: Palette, width: int = 480) -> Pixels:
    """A picture of the colours, H W 3: a bar each, with its number, code and share."""
    from PIL import Image, ImageDraw, ImageFont

    height = 24
    sheet = Image.new("RGB", (width, height * len(found.colours)), (255, 255, 255))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=13)
    for i, colour in enumerate(found.colours):
        top = i * height
        draw.rectangle((0, top, width - 200, top + height - 1), fill=colour.rgb)
        text = f"{i:>2}  {colour.text}  {100 * colour.share:.2f} %"
        draw.text((width - 190, top + height / 2), text, (60, 60, 60), font, "lm")
    return np.asarray(sheet)


def _gather(
    colours: NDArray[np.int64], counts: Counts, distance: float
) -> tuple[NDArray[np.int64], float]:
    """The densest colours, and the share of pixels that lie within half of `distance` of one."""
    total, left = counts.sum(), np.ones(len(counts), bool)
    found: list[NDArray[np.int64]] = []
    near = 0
    for i in np.argsort(-counts):
        if not left[i]:
            continue
        centre = colours[i].astype(float)
        for _ in range(3):  # to the middle of the cloud
            cloud = _within(colours, centre, distance / 2)
            centre = (colours[cloud] * counts[cloud, None]).sum(0) / counts[cloud].sum()
        taken = left & _within(colours, centre, distance)
        taken[i] = True
        left &= ~taken
        if counts[taken].sum() >= RAREST * total:
            near += counts[taken & _within(colours, centre, distance / 2)].sum()
            members = np.flatnonzero(taken)
            found.append(colours[members[counts[members].argmax()]])
        if len(found) == MOST or counts[left].sum() < RAREST * total:
            break
    return np.array(found), float(near / total)


def _apart(colours: NDArray[np.int64], distance: float) -> bool:
    """Whether colours were chosen to be told apart: JPEG puts many beside each of them."""
    near = [_within(colours, colour, distance).sum() > 1 for colour in colours]
    return sum(near) <= 0.25 * len(near)


def _within(colours: NDArray[np.int64], centre: NDArray[Any], radius: float) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = ((colours - centre) ** 2).sum(1) <= radius**2
    return inside


def _shares(colours: NDArray[np.int64], samples: Sequence[NDArray[np.uint8]]) -> tuple[Colour, ...]:
    """Each colour with the share of the pixels nearest to it; those with most first."""
    counts = np.zeros(len(colours), np.int64)
    table = colours.astype(np.float32)
    for sample in samples:
        # |p - c|^2 less |p|^2, which is the same for all colours.
        far = (table**2).sum(1) - 2 * sample.astype(np.float32) @ table.T
        counts += np.bincount(far.argmin(1), minlength=len(colours))
    order = sorted(range(len(colours)), key=lambda i: (-counts[i], *colours[i].tolist()))
    total = max(int(counts.sum()), 1)
    return tuple(
        Colour((int(r), int(g), int(b)), int(counts[i]) / total)
        for i, (r, g, b) in ((i, colours[i]) for i in order)
    )


def _codes(image: Pixels) -> NDArray[np.int64]:
    """H W of 24-bit numbers, a colour each."""
    x = image.astype(np.int64)
    return x[..., 0] << 16 | x[..., 1] << 8 | x[..., 2]


def _rgb(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], -1)


def _even(image: Pixels) -> NDArray[np.bool_]:
    """Where a pixel differs from its four neighbours by no more than EVEN levels."""
    x = np.ascontiguousarray(image.transpose(2, 0, 1)).astype(np.int16)
    across = np.abs(np.diff(x, axis=2)).max(0) <= EVEN
    down = np.abs(np.diff(x, axis=1)).max(0) <= EVEN
    even = np.ones(image.shape[:2], bool)
    even[:, 1:] &= across
    even[:, :-1] &= across
    even[1:] &= down
    even[:-1] &= down
    return even
