"""A list of kornia's own transforms: places alike on both sides, colours on one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from p2ptk import Side, Spec, UserError
from p2ptk_kornia.draws import RngOf
from p2ptk_kornia.pictures import unit
from p2ptk_kornia.sides import Resampled, need_pictures
from p2ptk_kornia.transforms import WHO, build, global_numbers


class Pipeline(Resampled):
    """Apply a list of kornia's random transforms, in the order given.

    On the command line, `kornia-pipeline:transforms=[RandomRotation(degrees=10.0,p=0.5)]`; in TOML,
    `transforms = [{name = "RandomRotation", degrees = 10.0, p = 0.5}]`. Parameters are kornia's.
    Those that move pixels move both sides alike, label maps by nearest neighbour; the others change
    the side that is declared. What comes in from outside is reflected, where kornia can do that and
    no padding_mode is given, and else is the picture as it was.

    transforms: kornia's transforms of images that keep their size, each with its parameters.
    side: which side the others change than those that move pixels.
    """

    stage: Literal["derive", "data", "judge"] = "data"

    def __init__(
        self, *, transforms: list[Spec], side: Literal["source", "target"] | None = None
    ) -> None:
        if not transforms:
            raise UserError(f"{WHO}: transforms should name at least one of kornia's.")
        self.transforms = [build(spec) for spec in transforms]
        self.side = side
        colours = [each.name for each in self.transforms if not each.moves]
        if colours and side is None:
            raise UserError(
                f"{WHO}: {colours[0]} changes colours: say whose, side=source or side=target."
            )
        self.colours = bool(colours)

    def sides(self, source: Side, target: Side) -> None:
        super().sides(source, target)
        if self.colours:
            side = source if self.side == "source" else target
            need_pictures(WHO, side, str(self.side), "has transforms that change colours")
        if self.nearest_source or self.nearest_target:
            for each in self.transforms:
                if each.moves and each.nearest is None:
                    raise UserError(f"{WHO}: {each.name} only interpolates, and can't move labels.")

    def sample(
        self, numbers: Sequence[int], size: tuple[int, int], rng: RngOf
    ) -> dict[str, Tensor]:
        """kornia's parameters of each sample, as `PLACE.NAME`."""
        rows = []
        for number in numbers:
            with global_numbers(rng(number)):
                drawn = [each.sample(size) for each in self.transforms]
            rows.append({f"{i}.{k}": x for i, row in enumerate(drawn) for k, x in row.items()})
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}

    def apply(
        self, source: Tensor, target: Tensor, params: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        for number, each in enumerate(self.transforms):
            own = _own(params, number)
            if each.moves:
                source = each.apply(source, own, self.nearest_source)
                target = each.apply(target, own, self.nearest_target)
            elif self.side == "source":
                source = each.apply(unit(source), own).clamp(0, 1) * 2 - 1
            else:
                target = each.apply(unit(target), own).clamp(0, 1) * 2 - 1
        return source, target

    def geometry(self, x: Tensor, params: dict[str, Tensor], nearest: bool = False) -> Tensor:
        """N C H W moved by those transforms that move pixels."""
        for number, each in enumerate(self.transforms):
            if each.moves:
                smooth = not nearest or each.nearest is None
                x = each.apply(x, _own(params, number), not smooth)
        return x


def _own(params: dict[str, Tensor], number: int) -> dict[str, Tensor]:
    start = f"{number}."
    return {k.removeprefix(start): x for k, x in params.items() if k.startswith(start)}
