"""TIFF files: any depth, any number of bands, through tifffile; what it leaves is Pillow's."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tifffile
from tifffile import PHOTOMETRIC

from p2ptk.datasets.arrays import NotAnImage, channel_axis, plain_dtype, upright
from p2ptk.datasets.content import Content, opened

# What it finds wrong with a damaged file is said in one sentence, by who asked for the image.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)

SWELL = 2000  # times its size that a file may give; deflate packs 1032 to 1 at most

_ORIENTATION = 274  # a tag with EXIF's meaning; 5 to 8 swap height and width
_COLOUR_SPACES = (PHOTOMETRIC.PALETTE, PHOTOMETRIC.SEPARATED, PHOTOMETRIC.YCBCR, PHOTOMETRIC.CIELAB)


def read(path: Path | Content) -> np.ndarray[Any, Any] | None:
    """A TIFF as a C H W array of uint8, uint16 or float32, upright; None where Pillow must read it.

    Raises NotAnImage for layouts that are no image, and whatever tifffile raises.
    """
    with tifffile.TiffFile(opened(path)) as file:
        page = file.pages.first
        source = _source(file, path)
        if _for_pillow(page):
            return None
        if source.nbytes > SWELL * file.filehandle.size:
            raise NotAnImage(
                f"it claims {source.nbytes:,} bytes of pixels, but is too short for it"
            )
        try:
            array = source.asarray()
        except ValueError as error:  # a compression that tifffile alone can't undo
            if "imagecodecs" not in str(error):
                raise
            if not _pillow_keeps(page):
                raise NotAnImage(_needs(page)) from None
            return None
        chw = _chw(array, source.axes)
        if page.photometric == PHOTOMETRIC.MINISWHITE and chw.dtype.kind in "bu":
            chw = ~chw
        if chw.dtype == bool:
            chw = chw * np.uint8(255)
        return upright(chw.astype(plain_dtype(chw.dtype)), _orientation(page))


def shape_of(path: Path) -> tuple[int, int, int, str] | None:
    """Height, width, channels and dtype, as `read` will give them, without decoding."""
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        if _for_pillow(page):
            return None
        source = _source(file, path)
        axis = _channels_at(source.shape, source.axes)
        channels = 1 if axis is None else source.shape[axis]
        height, width = (
            n for i, n in enumerate(source.shape) if i != axis and not _spare(source, i)
        )
        if _orientation(page) >= 5:
            height, width = width, height
        return height, width, channels, plain_dtype(np.dtype(source.dtype))


def is_whole(path: Path, size: int) -> bool:
    """Whether all pixel data lie within the file."""
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        ends = (a + n for a, n in zip(page.dataoffsets, page.databytecounts, strict=False))
        return max(ends, default=0) <= size


def _source(file: tifffile.TiffFile, path: Path | Content) -> Any:
    """The first series, or its first page where pages are coloured: they are pictures then."""
    _need_last_page(path)
    series, page = file.series[0], file.pages.first
    return page if page.samplesperpixel > 1 and len(series.pages) > 1 else series


def _need_last_page(path: Path | Content) -> None:
    """Raise NotAnImage where each page leads to another in a circle: tifffile would go on for ever.

    A page is a count of tags, the tags, and the next page's place, 0 after the last (TIFF 6.0, 2).
    """
    with path.open("rb") as file:
        head = file.read(16)
        order: Literal["little", "big"] = "little" if head[:2] == b"II" else "big"
        big = head[2:4] in (b"+\0", b"\0+")
        count, tag, place = (8, 20, 8) if big else (2, 12, 4)
        at = int.from_bytes(head[8:16] if big else head[4:8], order)
        seen = set()
        while at:
            if at in seen:
                raise NotAnImage("its pages lead in a circle")
            seen.add(at)
            file.seek(at)
            file.seek(at + count + tag * int.from_bytes(file.read(count), order))
            at = int.from_bytes(file.read(place), order)


def _for_pillow(page: Any) -> bool:
    return page.photometric in _COLOUR_SPACES


def _pillow_keeps(page: Any) -> bool:
    """Whether Pillow reads the page without loss; it cuts 16-bit colours to 8 bits."""
    bits = page.bitspersample if isinstance(page.bitspersample, int) else max(page.bitspersample)
    return bits <= 8 or page.samplesperpixel == 1


def _needs(page: Any) -> str:
    compression = getattr(page.compression, "name", page.compression)
    return f"its compression {compression} needs the package imagecodecs; or save it as deflate"


def _spare(source: Any, axis: int) -> bool:
    """An axis of one element that is neither height nor width."""
    return source.shape[axis] == 1 and source.axes[axis] not in "YX"


def _channels_at(shape: tuple[int, ...], axes: str) -> int | None:
    """The axis that holds channels, None where there is none. Raises NotAnImage if several may."""
    left = [i for i, name in enumerate(axes) if shape[i] > 1 or name in "YX"]
    if len(left) == 2:
        return None
    if len(left) != 3 or "Y" not in axes or "X" not in axes:
        raise NotAnImage(f"its axes are {axes}, of lengths {shape}: that is no single image")
    extra = next(i for i in left if axes[i] not in "YX")
    if axes[extra] in "SC":
        return extra
    # Pages, or an H W C array that was written as pages: lengths decide, as for .npy.
    return left[channel_axis([shape[i] for i in left])]


def _chw(array: np.ndarray[Any, Any], axes: str) -> np.ndarray[Any, Any]:
    channels = _channels_at(array.shape, axes)
    if channels is not None:
        array = np.moveaxis(array, channels, 0)
        axes = "C" + axes[:channels] + axes[channels + 1 :]
    spare = [i for i, name in enumerate(axes) if array.shape[i] == 1 and name not in "CYX"]
    array = array.squeeze(tuple(spare))
    return array if array.ndim == 3 else array[None]


def _orientation(page: Any) -> int:
    tag = page.tags.get(_ORIENTATION)
    return int(tag.value) if tag is not None and int(tag.value) in range(1, 9) else 1
