"""ADA: what the discriminator sees is changed as often as it overfits."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, distributed, nn

from p2ptk import Judgement, Side, UserError
from p2ptk_kornia.ada_changes import COLOURS, MOVES, changes, rotations
from p2ptk_kornia.draws import RngOf, drawn, uniform
from p2ptk_kornia.geometry import warp
from p2ptk_kornia.sides import Resampled

Share = Annotated[float, Field(ge=0, le=1)]


class Ada(Resampled):
    """Change all that D sees, real and fake alike, each change with probability p (Karras 2020).

    Every `interval` steps p moves by the images seen over `speed`: up where D is too sure of the
    real ones, down where it is not. It is too sure where r = E[sign(D(real))] is above `target`.
    Source and image are moved together; the colours of the image alone are changed, where it is a
    picture. Interpolation is bilinear, where the paper filters with wavelets.

    r has a meaning for losses whose logits part real from fake at one value: 0 for vanilla and
    hinge, 0.5 for lsgan (`centre=0.5`); not for wgan, nor for rpgan.

    policy: groups of changes: `blit` (mirror, quarter turns, whole pixels), `geometry` (scale,
        turn, shift), `color` (brightness, contrast, inversion, hue, saturation).
    p: the probability to begin with.
    most: the largest p; far above 0.8 the changes may show in what the generator makes.
    target: the r that is aimed at.
    speed: images over which p can rise from 0 to 1.
    interval: steps over which r is taken.
    centre: the logit between real and fake.
    """

    stage: Literal["derive", "data", "judge"] = "judge"

    def __init__(
        self,
        *,
        policy: tuple[Literal["blit", "geometry", "color"], ...] = ("blit", "geometry", "color"),
        p: Share = 0.0,
        most: Share = 0.8,
        target: Annotated[float, Field(gt=-1, lt=1)] = 0.6,
        speed: Annotated[int, Field(gt=0)] = 500_000,
        interval: Annotated[int, Field(gt=0)] = 4,
        centre: float = 0.0,
    ) -> None:
        if not policy:
            raise UserError("ada: policy should name blit, geometry or color.")
        if p > most:
            raise UserError(f"ada: p begins at {p:g}, above its largest value, most={most:g}.")
        self.most, self.target, self.centre = most, target, centre
        self.speed, self.interval = speed, interval
        self.moves = [name for group in policy for name in MOVES.get(group, ())]
        self.colours = [name for group in policy for name in COLOURS.get(group, ())]
        self.pictures = True
        self.state = State(p, rotations(self.moves))

    def sides(self, source: Side, target: Side) -> None:
        super().sides(source, target)
        self.pictures = target.kind == "image"

    def sample(
        self, numbers: Sequence[int], size: tuple[int, int], rng: RngOf
    ) -> dict[str, Tensor]:
        """`moves` N K 3 3 and `colours` N K 4 4, each with its chance N K: done where below p."""

        def draw(generator: torch.Generator) -> dict[str, Tensor]:
            # All are drawn whatever the policy: so two policies share what they have in common.
            made = changes(generator, size)
            chances = dict(zip(made, uniform(generator, 0, 1, len(made)), strict=True))
            found = {}
            for name, wanted in (("moves", self.moves), ("colours", self.colours)):
                if wanted:
                    found[name] = torch.stack([made[each] for each in wanted]).float()
                    found[f"{name}_chance"] = torch.stack(
                        [chances[each] for each in wanted]
                    ).float()
            return found

        return drawn(numbers, rng, draw)

    def apply(
        self, source: Tensor, target: Tensor, params: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        if self.colours and self.pictures:
            target = _recoloured(target, self._chosen("colours", params, self.state.p))
        return self.moved(source, target, params) if self.moves else (source, target)

    def geometry(self, x: Tensor, params: dict[str, Tensor], nearest: bool = False) -> Tensor:
        """N C H W moved; reflected where it comes in from outside."""
        if not self.moves:
            return x
        p = self.state.p
        # Two turns, before and after the stretch: together they happen with probability p.
        each = torch.where(self.state.turns, 1 - (1 - p).sqrt(), p)
        return warp(x, self._chosen("moves", params, each), nearest, "reflection")

    def _chosen(self, name: str, params: dict[str, Tensor], p: Tensor) -> Tensor:
        """The product of those matrices whose chance is below p."""
        matrices = params[name]
        none = torch.eye(matrices.shape[-1], device=matrices.device)
        done = (params[f"{name}_chance"] < p)[..., None, None]
        return functools.reduce(_product, torch.where(done, matrices, none).unbind(1))

    @torch.no_grad()
    def observe(self, judged_real: Judgement) -> dict[str, Tensor]:
        """Take note of D's logits of real images; gives `p`, and `r` of these images."""
        scales = [(x - self.centre).sign().nan_to_num().mean() for x in judged_real.logits]
        r, count = torch.stack(scales).mean(), len(judged_real.logits[0])
        seen = torch.stack([r * count, torch.full_like(r, count)])
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(seen)
        state = self.state
        state.seen += seen
        state.steps += 1
        due = state.steps >= self.interval
        mean, images = state.seen[0] / state.seen[1], state.seen[1]
        moved = (state.p + (mean - self.target).sign() * images / self.speed).clamp(0, self.most)
        state.p.copy_(torch.where(due, moved, state.p))
        state.seen *= ~due
        state.steps *= ~due
        return {"p": state.p, "r": r}


class State(nn.Module):
    """p, and what was seen since it last moved: the sum of signs over images, images, steps."""

    p: Tensor
    seen: Tensor
    steps: Tensor
    turns: Tensor

    def __init__(self, p: float, turns: Tensor) -> None:
        super().__init__()
        self.register_buffer("p", torch.tensor(p))
        self.register_buffer("seen", torch.zeros(2))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("turns", turns, persistent=False)


def _product(a: Tensor, b: Tensor) -> Tensor:
    """Of matrices N k k, at full precision, which torch.matmul gives up where TF32 is allowed."""
    return (a[..., None] * b[:, None]).sum(2)


def _recoloured(x: Tensor, matrix: Tensor) -> Tensor:
    """N C H W under N 4 4 for colours in [-1, 1]; other than 3 channels by what grey would get."""
    count, channels = x.shape[:2]
    matrix = matrix.to(x.dtype)
    if channels == 3:
        flat = torch.baddbmm(matrix[:, :3, 3:], matrix[:, :3, :3], x.reshape(count, 3, -1))
        return flat.view_as(x)
    mean = matrix[:, :3].mean(1)
    factor, shift = mean[:, :3].sum(1), mean[:, 3]
    return x * factor[:, None, None, None] + shift[:, None, None, None]
