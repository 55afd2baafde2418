"""What losses and metrics see of pictures: the features of a frozen model, and their distance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from p2ptk import UserError
from p2ptk_timm.backbone import Backbone

Distance = Literal["l1", "l2"]
Levels = tuple[Annotated[int, Field(ge=0)], ...] | None
Colours = tuple[Annotated[int, Field(ge=0)], ...] | None
TINY = 1e-6


class Looks(nn.Module):
    """The features of pictures of any channels, from a backbone that never trains.

    N C H W in [-1, 1] -> features N C h w, fine to coarse. Grey is repeated in three channels.

    colours: which channels are red, green and blue, or which one is grey; None for pictures of one
        or three channels. Without weights the backbone's are random, but the same each time.
    """

    def __init__(
        self,
        model: str,
        *,
        levels: Sequence[int] | None,
        pretrained: bool,
        weights: str | None,
        colours: Sequence[int] | None,
    ) -> None:
        super().__init__()
        if colours is not None and len(colours) not in (1, 3):
            raise UserError(f"colours names one channel or three, not {list(colours)}.")
        self.colours = None if colours is None else list(colours)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.backbone = Backbone(
                model, levels=levels, pretrained=pretrained, weights=weights, freeze=True
            )

    def forward(self, image: Tensor) -> list[Tensor]:
        return self.backbone(self.three(image.float()))

    def three(self, image: Tensor) -> Tensor:
        """Three channels for the backbone. Raises UserError where they are not told."""
        channels = image.shape[1]
        if self.colours is not None:
            if max(self.colours) >= channels:
                raise UserError(
                    f"colours={self.colours} name channels that a picture of {channels} has not: "
                    f"they count from 0 to {channels - 1}."
                )
            image = image[:, self.colours]
        elif channels not in (1, 3):
            raise UserError(
                f"timm's {self.backbone.model} looks at three colours or grey, and these pictures "
                f"have {channels} channels: say which to look at, as in colours="
                f"{[0, 1, 2] if channels > 2 else [0]}."
            )
        return image.expand(-1, 3, -1, -1) if image.shape[1] == 1 else image


def same_scale(feature: Tensor) -> Tensor:
    """A feature N C h w with mean square 1 over the channels of each place (but where all is 0).

    Cosine similarity of two places is then the mean of the products of their channels.
    """
    return feature * torch.rsqrt(feature.square().mean(1, keepdim=True) + TINY)


def apart(made: Tensor, wanted: Tensor, distance: Distance, normalise: bool) -> Tensor:
    """The distance of two features N C h w: N, the mean over channels and places."""
    if normalise:
        made, wanted = same_scale(made), same_scale(wanted)
    each = F.l1_loss if distance == "l1" else F.mse_loss
    return each(made, wanted, reduction="none").flatten(1).mean(1)
