"""Rules that arrays from files follow: which axis holds the channels, which dtypes are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


class NotAnImage(ValueError):
    """A file is whole, but does not hold an image; the message says in what way."""


def channel_axis(shape: Sequence[int]) -> int:
    """Of three axes the one that holds the channels: the shorter of first and last (or the last).

    >>> channel_axis((3, 256, 256)), channel_axis((256, 256, 3))
    (0, 2)
    """
    return 0 if shape[0] < shape[2] else 2


def plain_dtype(dtype: np.dtype[Any]) -> str:
    """The dtype that an image is kept in: uint8 and uint16 stay, other numbers become float32.

    Raises NotAnImage for what is no real number.
    """
    if dtype.kind not in "buif":
        raise NotAnImage(f"it holds {dtype} values")
    if dtype.kind == "b":
        return "uint8"
    return dtype.name if dtype.name in ("uint8", "uint16") else "float32"


def upright(chw: np.ndarray[Any, Any], orientation: int) -> np.ndarray[Any, Any]:
    """Undo one of EXIF's eight orientations, which say where the first row and column belong."""
    if orientation in (5, 6, 7, 8):
        chw = chw.swapaxes(1, 2)
    if orientation in (3, 4, 7, 8):
        chw = chw[:, ::-1]
    if orientation in (2, 3, 6, 7):
        chw = chw[:, :, ::-1]
    return np.ascontiguousarray(chw)
