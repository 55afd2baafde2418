"""Contact sheets: A | B of many pairs, each with its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from p2ptk.contracts import Dataset
from p2ptk.dataprep.views import Pixels, as_trained

CELL = 144  # height of a picture
WIDEST = 2.5  # of its height, beyond which a picture is cut
GAP, CAPTION = 6, 18
INK, MARK, PAPER = (60, 60, 60), (190, 20, 20), (255, 255, 255)


class Shown(NamedTuple):
    """A pair to show: its split, its number there, its caption, and whether that is a warning."""

    split: str
    number: int
    caption: str
    warn: bool = False


def contact_sheet(dataset: Dataset, pairs: Sequence[Shown], columns: int = 4) -> Image.Image:
    """Draw pairs as the networks see them, A left and B right, row by row."""
    cells = [(shown, _pair(dataset, shown)) for shown in pairs]
    width = max(picture.width for _, picture in cells)
    height = max(picture.height for _, picture in cells)
    columns = max(1, min(columns, len(cells), 2400 // (width + GAP)))
    rows = -(-len(cells) // columns)
    size = (columns * (width + GAP) + GAP, rows * (height + CAPTION + GAP) + GAP)
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=12)
    for i, (shown, picture) in enumerate(cells):
        left = GAP + i % columns * (width + GAP)
        top = GAP + i // columns * (height + CAPTION + GAP)
        caption = _fit(shown.caption, width, lambda text: draw.textlength(text, font))
        draw.text((left, top + CAPTION / 2), caption, MARK if shown.warn else INK, font, "lm")
        sheet.paste(picture, (left, top + CAPTION))
    return sheet


def _pair(dataset: Dataset, shown: Shown) -> Image.Image:
    pair = dataset.split(shown.split)[shown.number]
    sides = [as_trained(pair.source, dataset.a)]
    if pair.source is not pair.target:
        sides.append(as_trained(pair.target, dataset.b))
    pictures = [_scaled(side) for side in sides]
    both = Image.new("RGB", (sum(p.width for p in pictures) + len(pictures) - 1, CELL), PAPER)
    left = 0
    for picture in pictures:
        both.paste(picture, (left, 0))
        left += picture.width + 1
    return both


def _scaled(pixels: Pixels) -> Image.Image:
    height, width = pixels.shape[:2]
    if width > WIDEST * height:
        pixels = np.ascontiguousarray(pixels[:, : round(WIDEST * height)])
    image = Image.fromarray(pixels)
    way = Image.Resampling.BOX if height > CELL else Image.Resampling.NEAREST
    return image.resize((max(1, round(image.width * CELL / height)), CELL), way)


def _fit(text: str, width: int, length: Callable[[str], float]) -> str:
    """A caption cut to its cell; its end says more than its beginning."""
    if length(text) <= width:
        return text
    while text and length(f"...{text}") > width:
        text = text[1:]
    return f"...{text}"
