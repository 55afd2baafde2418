"""What an augmentation may be used on, and how each side is resampled."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from p2ptk import Side, UserError

Padding = Literal["reflection", "border", "zeros"]


class Resampled:
    """Moves both sides by `geometry`, and label maps among them by nearest neighbour."""

    nearest_source = nearest_target = False

    def sides(self, source: Side, target: Side) -> None:
        self.nearest_source = source.kind == "labels"
        self.nearest_target = target.kind == "labels"

    def geometry(self, x: Tensor, params: dict[str, Tensor], nearest: bool = False) -> Tensor:
        """N C H W moved; interpolated, or by nearest neighbour."""
        raise NotImplementedError

    def moved(
        self, source: Tensor, target: Tensor, params: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Both sides; in one go where both are resampled alike, which finds all places once."""
        if self.nearest_source == self.nearest_target:
            both = self.geometry(torch.cat([source, target], 1), params, self.nearest_source)
            return both[:, : source.shape[1]], both[:, source.shape[1] :]
        return (
            self.geometry(source, params, self.nearest_source),
            self.geometry(target, params, self.nearest_target),
        )


def need_pictures(who: str, side: Side, which: str, does: str) -> None:
    """Raises UserError where a side holds anything but pictures."""
    if side.kind != "image":
        raise UserError(f"{who} {does}, and the {which} holds {side.kind}: leave it out.")


def need_order(who: str, name: str, pair: tuple[float, float]) -> tuple[float, float]:
    """A range as it is given. Raises UserError where its ends are the wrong way round."""
    if pair[0] > pair[1]:
        raise UserError(f"{who}: {name} should be [lowest, highest], not {list(pair)}.")
    return pair
