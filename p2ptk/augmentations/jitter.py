"""The paper's augmentation: enlarge, crop at random, mirror."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from p2ptk.contracts import RngOf


class Jitter:
    """Resize to a larger size, crop at random to the training size, mirror half of the images.

    Isola et al. 2017, appendix 6.2: 256x256 images are resized to 286x286, cropped to 256x256 and
    mirrored. Both sides get the same crop.

    load: the size before the crop, as a multiple of the training size; 1 crops nothing.
    mirror: swap left and right in half of the images.
    """

    stage: Literal["derive", "data", "judge"] = "data"

    def __init__(
        self,
        *,
        load: Annotated[float, Field(ge=1, le=16)] = 286 / 256,
        mirror: bool = True,
    ) -> None:
        self.load, self.mirror = load, mirror

    def load_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """The size (H, W) to resize to for crops of `size`; 256 gives 286."""
        return round(size[0] * self.load), round(size[1] * self.load)

    def sample(
        self, numbers: Sequence[int], size: tuple[int, int], rng: RngOf
    ) -> dict[str, Tensor]:
        """Which rows and columns of the larger image make each crop: N H and N W, int64.

        A mirrored crop has its columns from right to left.
        """
        draws = torch.stack([torch.rand(3, generator=rng(n), dtype=torch.float64) for n in numbers])
        loaded = self.load_size(size)
        top, left = ((draws[:, i] * (loaded[i] - size[i] + 1)).long().unsqueeze(1) for i in (0, 1))
        columns = torch.arange(size[1]).expand(len(numbers), -1)
        if self.mirror:
            columns = torch.where(draws[:, 2:] < 0.5, columns.flip(1), columns)
        return {"rows": top + torch.arange(size[0]), "columns": left + columns}

    def apply(
        self, source: Tensor, target: Tensor, params: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        return self.geometry(source, params), self.geometry(target, params)

    def geometry(self, x: Tensor, params: dict[str, Tensor], nearest: bool = True) -> Tensor:
        """Crop and mirror N C H W in one gather. Pixels are moved, so `nearest` has no say."""
        rows, columns = params["rows"], params["columns"]
        count, channels, _, width = x.shape
        places = (rows[:, :, None] * width + columns[:, None, :]).reshape(count, 1, -1)
        picked = x.reshape(count, channels, -1).gather(2, places.expand(-1, channels, -1))
        return picked.reshape(count, channels, rows.shape[1], columns.shape[1])
