"""What the sides of file pairs hold: from parameters to a `Side`, and from a file to a tensor."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from p2ptk.contracts import Side
from p2ptk.datasets.content import Content
from p2ptk.datasets.images import UnreadableImage, read_image
from p2ptk.errors import UserError

Kind = Literal["image", "labels", "values"]
Range = tuple[float, float]


def make_side(
    which: str,
    kind: Kind,
    range: Range | None,
    classes: int | None,
    palette: Sequence[str] | None,
) -> Side:
    """A side from a dataset's parameters; `which` is `a` or `b`, or empty, for messages.

    palette: colours as `#rrggbb`, one a class. Raises UserError for what does not go together.
    """
    own = f"{which}_" if which else ""
    if kind == "labels" and not (classes or palette):
        raise UserError(f"{own}kind=labels needs {own}classes=N or {own}palette=[...].")
    if kind != "labels" and (classes or palette):
        given = "classes" if classes else "palette"
        raise UserError(f"{own}{given} is for labels: give {own}kind=labels with it.")
    if classes and palette and classes != len(palette):
        raise UserError(f"{own}classes is {classes}, but {own}palette has {len(palette)}.")
    if range and not range[0] < range[1]:
        raise UserError(f"{own}range should be [low, high], not {list(range)}.")
    if range and kind == "labels":
        raise UserError(f"{own}range has no meaning for labels.")
    colours = tuple(_colour(which, text) for text in palette) if palette else None
    return Side(kind, range, colours, classes)


def read_side(path: Path | Content, side: Side) -> Tensor:
    """A file's image C H W; for labels its classes, 1 H W, uint8 (int32 above 256 classes).

    Raises UnreadableImage.
    """
    if side.kind != "labels":
        return read_image(path)
    return to_classes(read_image(path, indices=side.palette is None), side, path)


def read_picture(data: bytes, side: Side, name: str) -> Tensor:
    """A picture of any format that p2ptk reads, from its file's bytes, as its side wants it.

    side: images and values come C H W, uint8, uint16 or float32, labels as class numbers 1 H W.
    name: what messages call it. An ending `.npy`, `.tif` or `.tiff` chooses that reader; all other
        formats are told by their bytes.
    Raises UserError that names it.
    """
    return read_side(Content(name, data), side)


def to_classes(image: Tensor, side: Side, path: Path | Content) -> Tensor:
    """Class numbers 1 H W of a label image: its one channel, or each colour's nearest in `palette`.

    Nearest, so that label maps that went through JPEG still read. Raises UnreadableImage for
    numbers that are no class, and for colours without a palette.
    """
    depth = side.depth or 0
    kept = torch.uint8 if depth <= 256 else torch.int32
    if image.shape[0] >= 3 and side.palette:
        colours = torch.tensor(side.palette, dtype=torch.float32)
        pixels = image[:3].flatten(1).T.float()
        # |p - c|^2 less |p|^2, which is the same for all classes; exact in float32.
        distances = colours.square().sum(1) - 2 * pixels @ colours.T
        return distances.argmin(1).to(kept).reshape(1, *image.shape[1:])
    if image.shape[0] != 1:
        hint = "" if side.palette else "; labels stored as colours need a palette"
        raise UnreadableImage(path, f"labels have one channel, it has {image.shape[0]}{hint}")
    numbers = image.to(torch.int32)
    if image.is_floating_point() and not torch.equal(numbers.to(image.dtype), image):
        raise UnreadableImage(path, "it holds fractions, which are no class numbers")
    low, high = int(numbers.min()), int(numbers.max())
    if low < 0 or high >= depth:
        wrong = low if low < 0 else high
        raise UnreadableImage(path, f"it holds class {wrong}, but classes are 0 to {depth - 1}")
    return numbers.to(kept)


def _colour(which: str, text: str) -> tuple[int, int, int]:
    if not re.fullmatch(r"#?[0-9a-fA-F]{6}", text):
        raise UserError(f"{which}_palette holds {text!r}, which is no colour like #1f77b4.")
    digits = text.removeprefix("#")
    red, green, blue = (int(digits[i : i + 2], 16) for i in (0, 2, 4))
    return red, green, blue
