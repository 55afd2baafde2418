"""Reads one image file, of any usual kind, to a C H W tensor in its own dtype and channel count.

Pillow decodes, and tifffile decodes TIFF. torchvision's decoders were tried: the same pixels, JPEG
in two thirds of the time, but they are deprecated. nvJPEG gives other pixels, so that a set would
depend on the machine.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFile, UnidentifiedImageError
from torch import Tensor

from p2ptk.datasets import tiff
from p2ptk.datasets.arrays import NotAnImage, channel_axis, plain_dtype, upright
from p2ptk.datasets.content import Content, is_filled, opened
from p2ptk.datasets.intact import ends_well
from p2ptk.errors import UserError

TIFF_SUFFIXES = frozenset({".tif", ".tiff"})
IMAGE_SUFFIXES = TIFF_SUFFIXES | {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".npy"}

# What a Pillow mode is read as: the mode converted to, and its channels.
_READ_AS = {
    "1": ("L", 1), "L": ("L", 1), "LA": ("LA", 2), "La": ("LA", 2), "PA": ("RGBA", 4),
    "RGB": ("RGB", 3), "RGBX": ("RGB", 3), "RGBA": ("RGBA", 4), "RGBa": ("RGBA", 4),
    "CMYK": ("RGB", 3), "YCbCr": ("RGB", 3), "LAB": ("RGB", 3), "HSV": ("RGB", 3),
}  # fmt: skip
_ORIENTATION = 0x0112  # the EXIF tag; 5 to 8 swap height and width

# Pictures of up to Pillow's hard limit are fine here; above it Pillow raises.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class UnreadableImage(UserError):
    """A file that does not give an image. `path` is the file, `why` the reason in words."""

    def __init__(self, path: str | Path | Content, why: str) -> None:
        # Of bytes the name alone: an error may travel from a worker process.
        shown = str(path) if isinstance(path, Content) else Path(path)
        super().__init__(shown, why)
        self.path, self.why = Path(shown), why

    def __str__(self) -> str:
        return f"{self.args[0]} can't be read: {self.why}."


@dataclass(frozen=True)
class Header:
    """What a file says of its image, as `read_image` gives it: after EXIF orientation.

    dtype: `uint8`, `uint16` or `float32`. indexed: colours are numbers into a palette.
    """

    height: int
    width: int
    channels: int
    dtype: str
    indexed: bool = False


def read_image(path: str | Path | Content, *, indices: bool = False) -> Tensor:
    """A file as a CPU tensor C H W: uint8, uint16, or float32 (also for other number types).

    Channels stay as they are: 1 for grey, 2 with alpha, 3, 4; palettes become RGB or RGBA, CMYK
    becomes RGB, and 1-bit images 0 and 255. EXIF orientation is applied. Of an animation the first
    frame is read, of a TIFF all its bands, or its pages if they are grey.
    A `.npy` holds H W, or H W C, or C H W: the channels are the shorter of first and last axis, and
    the last where both are equal.
    indices: palette images give their colours' numbers, 1 H W, instead of the colours.

    Raises UnreadableImage for files that are missing, damaged, truncated or too large (Pillow's
    limit against decompression bombs), and for NaN or infinity.
    """
    path = path if isinstance(path, Content) else Path(path)
    try:
        image = _read(path, indices)
    except MemoryError:
        raise UnreadableImage(path, "it needs more memory than there is") from None
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise UnreadableImage(path, _reason(path, error)) from None
    if image.is_floating_point() and not bool(torch.isfinite(image).all()):
        raise UnreadableImage(path, "it holds NaN or infinite values")
    return image


def read_header(path: str | Path) -> Header:
    """What `read_image` will give, without decoding. Raises UnreadableImage."""
    path = Path(path)
    try:
        if path.suffix.lower() == ".npy":
            array = _open_npy(path)
            height, width = _hwc(array).shape[:2]
            channels = 1 if array.ndim == 2 else _hwc(array).shape[2]
            return Header(height, width, channels, plain_dtype(array.dtype))
        if path.suffix.lower() in TIFF_SUFFIXES and (found := tiff.shape_of(path)):
            return Header(*found)
        with Image.open(path) as image:
            return _pillow_header(image, path)
    except Exception as error:
        raise UnreadableImage(path, _reason(path, error)) from None


def image_size(path: str | Path) -> tuple[int, int]:
    """Height and width, without decoding. Raises UnreadableImage."""
    header = read_header(path)
    return header.height, header.width


def check_image(path: str | Path) -> Header:
    """The header of a file that is whole as far as its end tells; decodes it only in doubt.

    Raises UnreadableImage.
    """
    header = read_header(path)
    try:
        whole = ends_well(Path(path))
    except Exception as error:
        raise UnreadableImage(path, _reason(Path(path), error)) from None
    if not whole:
        read_image(path)
    return header


def _read(path: Path | Content, indices: bool) -> Tensor:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return _tensor(_hwc(_open_npy(path)))
    if suffix in TIFF_SUFFIXES and (array := tiff.read(path)) is not None:
        return torch.from_numpy(array)
    with Image.open(opened(path)) as image:
        if depth := _deep_channels(image, path):
            deep = _deep_png(image, path, depth)
            return torch.from_numpy(upright(deep, _orientation(image)))
        orientation, mode = _orientation(image), image.mode
        if mode == "P" and not indices:
            pixels = np.array(image.convert(_palette_mode(image)))
        else:
            pixels = np.array(image.convert(_READ_AS[mode][0]) if mode in _READ_AS else image)
        return _tensor(pixels, orientation)


def _palette_mode(image: Image.Image) -> str:
    return "RGBA" if "transparency" in image.info else "RGB"


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation, 1 to 8. TIFFs are 1 here: Pillow turns them itself.

    Called on the base class, since a PNG's own method decodes the whole image.
    """
    exif = {} if image.format == "TIFF" else Image.Image.getexif(image)
    return int(exif.get(_ORIENTATION, 1))


def _pillow_header(image: Image.Image, path: Path | Content) -> Header:
    width, height = image.size
    if _orientation(image) >= 5:
        width, height = height, width
    if image.mode == "P":
        return Header(height, width, len(_palette_mode(image)), "uint8", indexed=True)
    if depth := _deep_channels(image, path):
        return Header(height, width, depth, "uint16")
    if image.mode in _READ_AS:
        return Header(height, width, _READ_AS[image.mode][1], "uint8")
    return Header(height, width, 1, "uint16" if image.mode.startswith("I;16") else "float32")


def _deep_channels(image: Image.Image, path: Path | Content) -> int:
    """The channels of a PNG with 16 bits a channel, else 0: Pillow's mode does not tell.

    Bytes 24 and 25 are the depth and the colour type (https://www.w3.org/TR/png-3/#11IHDR).
    """
    if image.format != "PNG":
        return 0
    with path.open("rb") as file:
        head = file.read(26)
    return {0: 1, 2: 3, 4: 2, 6: 4}.get(head[25], 0) if head[24] == 16 else 0


def _deep_png(image: Image.Image, path: Path | Content, channels: int) -> np.ndarray[Any, Any]:
    """C H W of uint16. Pillow gives colours of 16 bits as 8: as their high or their low bytes.

    High bytes come when its unpacker is told that the data are big-endian, as they are, low bytes
    when it is told the contrary. Grey with alpha is four bytes a pixel, which unpack as RGBA.
    """
    if channels == 1:
        return np.array(image)[None].astype(np.uint16)
    if channels == 2:
        return np.moveaxis(_unpacked(path, "RGBA").view(">u2"), -1, 0).astype(np.uint16)
    high, low = (_unpacked(path, f"{'RGBA'[:channels]};16{end}") for end in "BL")
    return np.moveaxis(high.astype(np.uint16) * 256 + low, -1, 0)


def _unpacked(path: Path | Content, layout: str) -> np.ndarray[Any, Any]:
    with Image.open(opened(path)) as image:
        assert isinstance(image, ImageFile.ImageFile)
        image.tile = [(*tile[:3], layout) for tile in image.tile]  # type: ignore[misc]
        return np.array(image)


def _open_npy(path: Path | Content) -> np.ndarray[Any, Any]:
    mapped: Any = None if isinstance(path, Content) else "r"
    array: np.ndarray[Any, Any] = np.load(opened(path), mmap_mode=mapped, allow_pickle=False)
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise NotAnImage(f"its shape is {array.shape}, not H W, H W C or C H W")
    return array


def _hwc(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.moveaxis(array, channel_axis(array.shape), -1) if array.ndim == 3 else array


def _tensor(array: np.ndarray[Any, Any], orientation: int = 1) -> Tensor:
    """H W or H W C of any dtype to C H W, upright, of one that we use."""
    chw = array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)
    if chw.dtype == bool:
        chw = chw * np.uint8(255)
    chw = np.array(chw, dtype=plain_dtype(chw.dtype))  # a copy: memory maps are read-only
    return torch.from_numpy(upright(chw, orientation))


def _reason(path: Path | Content, error: Exception) -> str:
    """Why a file did not open, in words that need no knowledge of the decoder."""
    if isinstance(error, NotAnImage):
        return str(error)
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    filled = is_filled(path)
    if isinstance(error, UnidentifiedImageError) or not filled:
        return "the file is empty" if filled is False else "it is not an image of a known kind"
    if isinstance(error, Image.DecompressionBombError):
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        return f"it has more than {limit:,} pixels; cut it into smaller pictures"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[0].lower() + error.strerror[1:]
    text = str(error).splitlines()[0].strip().rstrip(".") if str(error) else type(error).__name__
    if any(sign in text for sign in ("truncated", "mmap length", "EOF: reading")):
        return "the file is truncated"
    return f"it is damaged ({text})"
