"""Pictures as people hold them (PIL, numpy, tensor, file) to and from tensors C H W."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from p2ptk.contracts import Side
from p2ptk.datasets.images import TIFF_SUFFIXES
from p2ptk.datasets.write import write_image
from p2ptk.errors import UserError
from p2ptk.files import explained, replacing

_PLAIN = {"1": "L", "La": "LA", "PA": "RGBA", "RGBa": "RGBA", "RGBX": "RGB", "CMYK": "RGB",
          "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB"}  # fmt: skip


def take(image: Any, side: Side) -> Tensor:
    """A PIL image, an array H W (C) or a tensor C H W as a CPU tensor C H W in its own depth.

    side: what it holds; palette images of labels without a palette give their colours' numbers.
    Raises UserError for anything else.
    """
    if isinstance(image, Image.Image):
        return from_pil(image, indices=side.kind == "labels" and side.palette is None)
    if isinstance(image, np.ndarray):
        return from_numpy(image)
    if isinstance(image, Tensor) and image.ndim == 3:
        return image.detach().cpu()
    what = f"a tensor {tuple(image.shape)}" if isinstance(image, Tensor) else repr(image)
    raise UserError(f"a picture is a PIL image, an array H W C or a tensor C H W, not {what[:60]}.")


def give(x: Tensor, like: Any) -> Any:
    """A picture C H W as the kind that `like` is."""
    if isinstance(like, Image.Image):
        return to_pil(x)
    if isinstance(like, np.ndarray):
        array = to_numpy(x)
        return array[..., 0] if like.ndim == 2 and array.shape[-1] == 1 else array
    return x.to(like.device)


def range_of(picture: Tensor) -> tuple[float, float]:
    """The values that stand for black and white, by the dtype.

    Raises UserError for floats outside [0, 1], whose range can't be known.
    """
    if picture.dtype in (torch.uint8, torch.uint16):
        return (0.0, float(torch.iinfo(picture.dtype).max))
    low, high = picture.float().aminmax()
    if low < -1e-3 or high > 1 + 1e-3:
        raise UserError(
            f"a picture of {str(picture.dtype).removeprefix('torch.')} should lie in 0..1; this "
            f"one goes from {low:.4g} to {high:.4g}: pass uint8 or uint16, or scale it."
        )
    return (0.0, 1.0)


def from_pil(image: Image.Image, *, indices: bool = False) -> Tensor:
    """C H W in the image's own depth: uint8, uint16 or float32; upright if EXIF says it lies.

    indices: palette images give their colours' numbers instead of the colours.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode == "P" and not indices:
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    return from_numpy(np.array(image.convert(_PLAIN.get(image.mode, image.mode))))


def from_numpy(array: np.ndarray[Any, Any]) -> Tensor:
    """H W or H W C to C H W. Raises UserError for other shapes and for what is no number."""
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise UserError(f"a picture is H W or H W C; this array has the shape {array.shape}.")
    if array.dtype.kind not in "buif":
        raise UserError(f"a picture holds numbers, not {array.dtype}.")
    if array.dtype == bool:
        array = array * np.uint8(255)
    if array.dtype not in (np.uint8, np.uint16):
        array = array.astype(np.float32)
    chw = array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)
    return torch.from_numpy(np.ascontiguousarray(chw))


def to_numpy(x: Tensor) -> np.ndarray[Any, Any]:
    """C H W to H W C."""
    return np.ascontiguousarray(np.moveaxis(x.cpu().numpy(), 0, -1))


def to_pil(x: Tensor) -> Image.Image:
    """C H W to PIL. Raises UserError for what PIL has no mode for, such as 16-bit colour."""
    array = to_numpy(x)
    if x.dtype == torch.uint8 and len(x) <= 4:
        return Image.fromarray(array[..., 0] if len(x) == 1 else array)
    if len(x) == 1 and x.dtype in (torch.uint16, torch.float32):
        return Image.fromarray(array[..., 0])
    raise UserError(
        f"PIL has no image of {len(x)} channels of {array.dtype}: pass a numpy array or a tensor."
    )


def fit_channels(x: Tensor, side: Side, channels: int) -> tuple[Tensor, str]:
    """A picture C H W with the channels a model takes, and a note of what was done to it.

    Grey becomes colour and colour grey (Rec. 601 luma); alpha is laid on white. Labels and values
    are left alone. Raises UserError saying the channels expected and found.
    """
    found = len(x)
    wanted = 1 if side.kind == "labels" else channels
    if found == wanted:
        return x, ""
    if side.kind != "image" or wanted not in (1, 3) or found not in (1, 2, 3, 4):
        raise UserError(f"the model takes {wanted} channels; the picture has {found}.")
    done = []
    colour = x.float()
    if found in (2, 4):
        full = 1.0 if x.is_floating_point() else float(torch.iinfo(x.dtype).max)
        alpha = colour[-1:] / full
        colour = colour[:-1] * alpha + full * (1 - alpha)
        done.append("alpha laid on white")
    if wanted == 1 and len(colour) == 3:
        colour = (colour * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(0, keepdim=True)
        done.append("colour turned to grey")
    elif wanted == 3 and len(colour) == 1:
        colour = colour.expand(3, -1, -1)
        done.append("grey repeated in three channels")
    if not x.is_floating_point():
        colour = colour.round().to(x.dtype)
    return colour.contiguous(), ", ".join(done)


def suffix_for(x: Tensor, like: str) -> str:
    """The file name extension that holds a picture C H W without loss.

    like: the source file's; kept where it can, else `.png`, or `.tiff` for floats and for more
    than four channels.
    """
    if x.is_floating_point() or len(x) > 4:
        return like if like in TIFF_SUFFIXES else ".tiff"
    keeps = TIFF_SUFFIXES | {".png"}
    if x.dtype == torch.uint8 and len(x) in (1, 3):
        keeps |= {".bmp"}
    return like if like in keeps else ".png"


def save_picture(path: str | Path, x: Tensor) -> None:
    """Write a picture C H W to a file, its folder made if missing, atomically."""
    path = Path(path)
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as place:
        write_image(place, x)
