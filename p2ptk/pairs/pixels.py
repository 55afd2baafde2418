"""Between files' numbers and the networks': ranges, sizes and one-hot labels.

Networks see float32, N C H W: [-1, 1] for images and values, 0 or 1 a class for labels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from p2ptk.contracts import Side

_ENDS = {torch.uint8: (0.0, 255.0), torch.uint16: (0.0, 65535.0)}


def normalise(x: Tensor, side: Side) -> Tensor:
    """A side's own numbers, of any shape, to float32 in [-1, 1]; what is out of its range is cut.

    The range is the side's, else the dtype's: uint8 0..255, uint16 0..65535.
    Raises ValueError for float data of a side without a range.
    """
    low, high = _range(side, x.dtype)
    if (low, high) == _ENDS.get(x.dtype):
        return x.float().div_((high - low) / 2).sub_(1)
    return x.float().sub(low).div_((high - low) / 2).sub_(1).clamp_(-1, 1)


def denormalise(x: Tensor, side: Side, dtype: torch.dtype) -> Tensor:
    """The inverse: [-1, 1] to a side's own numbers in `dtype`, rounded and clamped, never wrapped.

    x: N C H W or C H W. Labels, one channel a class, become the number of the largest, N 1 H W.
    """
    if side.kind == "labels":
        return x.argmax(-3, keepdim=True).to(dtype)
    low, high = _range(side, dtype)
    y = x.float().clamp(-1, 1).add(1).mul((high - low) / 2).add(low)
    if dtype.is_floating_point:
        return y.to(dtype)
    first, last = (
        _ENDS[dtype] if dtype in _ENDS else (torch.iinfo(dtype).min, torch.iinfo(dtype).max)
    )
    # uint16 has few operations of its own, so the last step goes through int32.
    return y.round().clamp(first, last).to(torch.int32).to(dtype)


def resize(x: Tensor, size: tuple[int, int], nearest: bool = False) -> Tensor:
    """N C H W to N C h w; the same tensor where it has that size already.

    Bicubic with antialiasing in float32, which is what Pillow does; its overshoot is cut to
    [-1, 1], so `x` is normalised. nearest: any dtype, for labels.
    """
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    if nearest:
        numbers = F.interpolate(x.float(), size, mode="nearest-exact")
        return numbers.to(torch.int32).to(x.dtype) if not x.is_floating_point() else numbers
    return F.interpolate(x, size, mode="bicubic", antialias=True, align_corners=False).clamp_(-1, 1)


def one_hot(x: Tensor, depth: int) -> Tensor:
    """Class numbers N 1 H W to float32 N depth H W of 0 and 1."""
    classes = torch.arange(depth, device=x.device, dtype=torch.int32)
    return (x.to(torch.int32) == classes[:, None, None]).float()


def fit(x: Tensor, side: Side, size: tuple[int, int]) -> Tensor:
    """A side's own numbers N C H W at a size: float32 in [-1, 1], or class numbers for labels."""
    if side.kind == "labels":
        return resize(x, size, nearest=True)
    return resize(normalise(x, side), size)


def as_input(x: Tensor, side: Side) -> Tensor:
    """What `fit` gave as the networks see it: labels become one-hot."""
    return one_hot(x, side.depth) if side.kind == "labels" and side.depth else x


def _range(side: Side, dtype: torch.dtype) -> tuple[float, float]:
    ends = side.range or _ENDS.get(dtype)
    if ends is None:
        raise ValueError(f"{dtype} data needs a range, such as range=[0, 1]")
    return ends


def to_device(x: Tensor, device: torch.device) -> Tensor:
    """A CPU tensor on a device, without waiting for what the device is doing."""
    if device.type != "cuda" or x.is_cuda:
        return x.to(device)
    return (x if x.is_pinned() else x.pin_memory()).to(device, non_blocking=True)
