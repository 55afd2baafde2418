"""Writes a C H W tensor to an image file, in its own dtype and with its own channels."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image
from torch import Tensor

from p2ptk.datasets.images import TIFF_SUFFIXES
from p2ptk.errors import UserError

# Suffixes with the channels that Pillow writes for them; JPEG at a quality whose loss is not seen.
_PILLOW: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    ".png": ((1, 2, 3, 4), {}),
    ".jpg": ((1, 3), {"quality": 95, "subsampling": 0}),
    ".jpeg": ((1, 3), {"quality": 95, "subsampling": 0}),
    ".webp": ((3, 4), {"lossless": True, "exact": True}),
    ".bmp": ((1, 3), {}),
    ".gif": ((1, 3), {}),
}


def write_image(path: str | Path, image: Tensor) -> None:
    """Write C H W of uint8, uint16 or float32; the suffix chooses the format.

    PNG: uint8 or uint16, 1 to 4 channels. TIFF (deflate) and `.npy` (C H W): anything. JPEG, WebP
    (lossless), BMP and GIF: uint8, with the channels that the format has.
    Raises UserError where the format can't hold the image, naming one that can.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if image.ndim != 3:
        raise ValueError(f"an image is C H W, not of shape {tuple(image.shape)}")
    array = image.detach().cpu().contiguous().numpy()
    if suffix == ".npy":
        np.save(path, array)
    elif suffix in TIFF_SUFFIXES:
        _write_tiff(path, array)
    elif suffix not in _PILLOW:
        known = ", ".join(sorted([*_PILLOW, *TIFF_SUFFIXES, ".npy"]))
        raise UserError(f"{path}: no image format ends with {suffix!r}; choose from {known}.")
    else:
        channels, options = _PILLOW[suffix]
        depths = (np.uint8, np.uint16) if suffix == ".png" else (np.uint8,)
        if array.dtype not in depths or len(array) not in channels:
            fits = array.dtype in (np.uint8, np.uint16) and len(array) <= 4
            raise UserError(
                f"{path}: {suffix} can't hold {len(array)} channels of {array.dtype}; "
                f"write {'.png or ' if fits else ''}.tif or .npy."
            )
        hwc = np.ascontiguousarray(np.moveaxis(array, 0, -1))
        if array.dtype == np.uint16:
            path.write_bytes(_deep_png(hwc))
        else:
            flat = hwc[..., 0] if len(array) == 1 else hwc
            Image.fromarray(flat).save(path, **options)  # the shape tells L, LA, RGB or RGBA


def _write_tiff(path: Path, array: np.ndarray[Any, Any]) -> None:
    """One page; colours lie pixel by pixel, other channels as planes."""
    options: dict[str, Any] = {"compression": "zlib", "metadata": None, "photometric": "minisblack"}
    if len(array) in (3, 4):
        array = np.ascontiguousarray(np.moveaxis(array, 0, -1))
        options["photometric"] = "rgb"
        options["extrasamples"] = ["unassalpha"] * (array.shape[-1] - 3)
    elif len(array) > 1:
        options["planarconfig"] = "separate"
    else:
        array = array[0]
    tifffile.imwrite(path, array, **options)


def _deep_png(hwc: np.ndarray[Any, Any]) -> bytes:
    """A PNG of 16 bits a channel, which none of our libraries writes in colour.

    Rows are stored as differences from the row above (filter 2), which deflate likes.
    https://www.w3.org/TR/png-3/
    """
    height, width, channels = hwc.shape
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = hwc.astype(">u2").view(np.uint8).reshape(height, -1)
    above = np.vstack([np.zeros_like(rows[:1]), rows[:-1]])
    filtered = np.empty((height, rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = 2
    np.subtract(rows, above, out=filtered[:, 1:])
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(filtered.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
