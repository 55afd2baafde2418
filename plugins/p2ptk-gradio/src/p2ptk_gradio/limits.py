"""What the server takes in: how much, how large, in which formats; and how it says no."""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image, ImageOps, UnidentifiedImageError

log = logging.getLogger("p2ptk.serve")

FORMATS: Final = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
TILES: Final = (64, 2048)  # smallest and largest tile that may be asked for, in pixels
MB: Final = 1024 * 1024


class Refused(Exception):
    """A request that is not served: an HTTP status, and one sentence for who asked."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


@dataclass(frozen=True)
class Limits:
    """upload: bytes of one file. pixels: of one picture, before it is decoded.

    queue: translations that may wait. batch: waiting pictures of one size that run together.
    workers: batches that run at a time. timeout: seconds until a request is given up.
    files: pictures in one folder or archive.
    """

    upload: int = 20 * MB
    pixels: int = 16_000_000
    queue: int = 32
    batch: int = 4
    workers: int = 1
    timeout: float = 60.0
    files: int = 200

    @property
    def together(self) -> int:
        """Bytes of an archive, or of all files of one upload."""
        return 10 * self.upload


def open_picture(file: bytes | Path, limits: Limits) -> Image.Image:
    """Decode a picture of one of FORMATS; its size is looked at before its pixels are.

    Raises Refused for anything else: 413 for too large, 415 for another format, 400 for a file that
    breaks off.
    """
    size = len(file) if isinstance(file, bytes) else file.stat().st_size
    if size > limits.upload:
        raise Refused(413, f"the file has {_mb(size)}; at most {_mb(limits.upload)} are taken.")
    try:
        opened = io.BytesIO(file) if isinstance(file, bytes) else file
        image = Image.open(opened, formats=FORMATS)
    except Image.DecompressionBombError:
        raise Refused(413, _too_many(limits)) from None
    except UnidentifiedImageError:
        raise Refused(415, f"this is no picture: give one of {', '.join(FORMATS)}.") from None
    except Exception as error:  # decoders raise what they like
        raise Refused(400, f"the picture can't be read: {error}.") from None
    with image:
        width, height = image.size
        if width * height > limits.pixels:
            raise Refused(413, f"the picture is {width}x{height}: {_too_many(limits)}")
        try:
            upright = ImageOps.exif_transpose(image)
        except Exception as error:
            raise Refused(400, f"the picture is damaged: {error}.") from None
        return upright


def need_size(size: tuple[int, int], multiple: tuple[int, int], limits: Limits) -> None:
    """Raises Refused where padding would blow a picture up beyond the limit.

    size: width and height. multiple: of height and width that the generator takes.
    """
    width, height = (-(-side // m) * m for side, m in zip(size, multiple[::-1], strict=True))
    most = max(limits.pixels, multiple[0] * multiple[1])
    if width * height > most:
        raise Refused(413, f"the picture is {size[0]}x{size[1]}: {_too_many(limits)}")


def explain(error: BaseException) -> Refused:
    """What to tell of an error: p2ptk's own sentence, or that it was ours and is in the log."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, TimeoutError):
        return Refused(504, "the translation took too long: give a smaller picture, or try later.")
    if hasattr(error, "exit_code"):  # p2ptk's own errors, which are sentences
        return Refused(422, str(error))
    log.error("a translation failed", exc_info=error)
    return Refused(500, "the translation failed; the server's log says why.")


def _too_many(limits: Limits) -> str:
    return f"at most {limits.pixels / 1e6:.3g} million pixels are taken."


def _mb(count: int) -> str:
    return f"{count / MB:.3g} MB"
