"""The last step of a generator: from channels to an image."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Output = Literal["tanh", "linear"]


def to_image(x: Tensor, output: Output) -> Tensor:
    """float32 or more, in [-1, 1] by tanh, or unbounded where `output` is linear (regression).

    Half precision is left first: bfloat16 rounds tanh to 1 from 0.998 on, where its gradient ends.
    """
    x = x if x.dtype == torch.float64 else x.float()
    return torch.tanh(x) if output == "tanh" else x
