"""Drawing a source in the page: what to draw with, and what a drawing means to a model."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np
from PIL import Image

from p2ptk_gradio.models import Model

Colour = tuple[int, int, int]
EDGES = ("canny", "sobel", "soft-edges")  # sources that are lines, by what makes them
BLACK, WHITE = (0, 0, 0), (255, 255, 255)


@dataclass(frozen=True)
class Canvas:
    """width, height: in pixels. colours: to draw with, the first chosen at the beginning.

    free: whether other colours may be mixed. brush: its width in pixels.
    """

    width: int
    height: int
    background: Colour
    colours: tuple[Colour, ...]
    free: bool
    brush: int


def canvas_of(model: Model) -> Canvas:
    """A palette for models of label maps, a brush of one colour for models of edges, else both."""
    height, width = model.header.size
    brush = max(1, round(min(width, height) / 128))
    side = model.header.source
    if side.kind == "labels":
        palette = palette_of(model)
        return Canvas(width, height, palette[0], palette[1:] + palette[:1], False, 8 * brush)
    made = [table for table in model.header.derive if table.get("name") in EDGES]
    if made or model.header.source_channels == 1:
        light = any(table.get("lines") == "light" for table in made)
        back, line = (BLACK, WHITE) if light else (WHITE, BLACK)
        return Canvas(width, height, back, (line,), False, brush)
    return Canvas(width, height, WHITE, (BLACK, WHITE), True, 2 * brush)


def palette_of(model: Model) -> tuple[Colour, ...]:
    """The colours of a model's source labels; where it has none, distinct ones of our own."""
    side = model.header.source
    return side.palette or distinct(side.depth or 1)


def distinct(count: int) -> tuple[Colour, ...]:
    """Colours that differ: the first black, the others by golden steps of hue."""
    colours = [BLACK]
    for i in range(count - 1):
        value = (0.95, 0.7, 0.5)[i // 7 % 3]
        rgb = colorsys.hsv_to_rgb(0.618034 * i % 1, 0.75, value)
        colours.append((round(255 * rgb[0]), round(255 * rgb[1]), round(255 * rgb[2])))
    return tuple(colours)


def read_drawing(drawing: Image.Image, model: Model) -> Image.Image:
    """A drawing as the model takes it: class numbers for labels without colours, else RGB."""
    side = model.header.source
    if side.kind != "labels":
        return drawing.convert("RGB")
    palette = palette_of(model)
    classes = to_classes(np.asarray(drawing.convert("RGB")), palette)
    if side.palette:
        return Image.fromarray(np.array(palette, np.uint8)[classes])
    return Image.fromarray(classes.astype(np.uint8 if len(palette) <= 256 else np.uint16))


def to_classes(pixels: np.ndarray, palette: tuple[Colour, ...]) -> np.ndarray:
    """Class numbers H W of a drawing H W 3.

    A brush's rim is a mixture of two colours, which may lie nearest to a third: such pixels take
    the class of a neighbour that is a plain colour.
    """
    colours = np.array(palette, np.int32)
    distance = np.stack([np.abs(pixels - colour).sum(-1) for colour in colours])
    nearest, plain = distance.argmin(0), distance.min(0) <= 12
    classes = np.where(plain, nearest, -1)
    for _ in range(3):  # a rim is at most a few pixels wide
        for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
            beside = np.roll(classes, step, axis)
            edge = [slice(None), slice(None)]
            edge[axis] = slice(0, 1) if step == 1 else slice(-1, None)
            beside[tuple(edge)] = -1  # what was rolled in from the other side
            classes = np.where(classes < 0, beside, classes)
    return np.where(classes < 0, nearest, classes)


def shown(image: Image.Image, model: Model, *, source: bool) -> Image.Image:
    """A picture as people can see it: classes in colours, 16 bits in 8."""
    side = model.header.source if source else model.header.target
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, np.float64)
        if side.kind != "labels":
            return Image.fromarray((values / 257).clip(0, 255).astype(np.uint8))
    if side.kind == "labels" and image.mode in ("L", "P", "I", "I;16") and not side.palette:
        colours = np.array(distinct(side.depth or 1), np.uint8)
        return Image.fromarray(colours[np.asarray(image).clip(0, len(colours) - 1)])
    return image.convert("RGB")


def hexadecimal(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
