"""Sheets of pictures: a row a pair, with the columns source | output | target."""

from __future__ import annotations

import colorsys
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from p2ptk.contracts import Side
from p2ptk.files import write_atomically

if TYPE_CHECKING:
    from torch import Tensor

Pixels = NDArray[np.uint8]

GUTTER = 4
INK, PAPER = (70, 70, 70), (255, 255, 255)
HEADINGS = ("source", "output", "target")


def sample_sheet(
    rows: Sequence[Sequence[Tensor | None]],
    source: Side,
    target: Side,
    *,
    headings: Sequence[str] = HEADINGS,
    cell: int | None = None,
) -> Pixels:
    """Draw rows of (source, output, target), or of (source, output), as uint8 H W 3.

    rows: normalised tensors C H W in [-1, 1], one-hot for labels; None leaves a cell empty.
        The first column is drawn as `source` says, all others as `target` does.
    headings: of the columns; an empty one is left out.
    cell: height of a picture in pixels. By default its own, but small ones are enlarged to about
        192 by repeating pixels, and those above 512 are reduced.
    """

    def drawn(column: int, x: Tensor | None) -> Image.Image | None:
        return None if x is None else _fit(show(x, target if column else source), cell)

    pictures = [[drawn(i, x) for i, x in enumerate(row)] for row in rows]
    columns = max((len(row) for row in pictures), default=0)
    widths = [
        max((p.width for row in pictures for p in row[i : i + 1] if p), default=1)
        for i in range(columns)
    ]
    heights = [max((p.height for p in row if p), default=1) for row in pictures]

    letters, strip = heading(min(widths, default=0))
    font = ImageFont.load_default(size=letters)
    titles = [headings[i] if i < len(headings) else "" for i in range(columns)]
    head = strip if any(titles) else GUTTER
    size = (sum(widths) + GUTTER * (columns + 1), head + sum(heights) + GUTTER * len(heights))
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    left = GUTTER
    for i, (width, title) in enumerate(zip(widths, titles, strict=True)):
        draw.text((left + width / 2, head / 2), title, INK, font, anchor="mm")
        top = head
        for row, height in zip(pictures, heights, strict=True):
            for each in row[i : i + 1]:
                if each:
                    sheet.paste(each, (left + (width - each.width) // 2, top))
            top += height + GUTTER
        left += width + GUTTER
    return np.array(sheet)


def heading(width: int) -> tuple[int, int]:
    """Size of the headings' letters, and height of their strip, above pictures of that width."""
    letters = max(11, min(18, width // 12))
    return letters, round(letters * 1.7)


def save_png(path: str | Path, pixels: Pixels | Image.Image) -> None:
    """Write uint8 H W, H W 3 or H W 4, or a PIL image, as a PNG, atomically."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    write_atomically(path, buffer.getvalue())


def show(x: Tensor, side: Side) -> Pixels:
    """A normalised tensor C H W as a person sees it best: uint8 H W 3.

    Labels get their palette's colours, or ones generated; of more than three channels the first
    three are shown, of two the mean. What is not finite is magenta.
    """
    if side.kind == "labels":
        colours = np.array(side.palette or palette(len(x)), np.uint8)
        return colours[x.detach().argmax(0).cpu().numpy()]
    values = x.detach().float().cpu().numpy()
    if len(values) != 1:
        values = values[:3] if len(values) > 2 else values.mean(0, keepdims=True)
    odd = ~np.isfinite(values).all(0)
    grey = np.clip(np.nan_to_num(values), -1, 1) * 127.5 + 127.5
    pixels = np.broadcast_to(np.rint(grey).astype(np.uint8), (3, *values.shape[1:])).copy()
    pixels[:, odd] = np.array([[255], [0], [255]])
    return pixels.transpose(1, 2, 0)


def palette(classes: int) -> list[tuple[int, int, int]]:
    """Colours that neighbours in number differ by: black, then hues a golden section apart."""
    colours = [(0, 0, 0)]
    for number in range(classes - 1):
        strength, light = (0.85, 0.55)[number % 2], (0.95, 0.75)[number // 2 % 2]
        r, g, b = colorsys.hsv_to_rgb(number * 0.61803398875 % 1, strength, light)
        colours.append((round(255 * r), round(255 * g), round(255 * b)))
    return colours[:classes]


def _fit(pixels: Pixels, cell: int | None) -> Image.Image:
    """A picture at the height of its cell."""
    image = Image.fromarray(pixels)
    height = cell or min(image.height, 512)
    if not cell and height < 128:
        height *= max(1, round(192 / height))
    if height == image.height:
        return image
    smooth = height < image.height or height % image.height
    way = Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST
    return image.resize((max(1, round(image.width * height / image.height)), height), way)
