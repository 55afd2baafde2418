"""A small stage for losses: two tiny networks, a batch, and the phases of a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from p2ptk.config import Train
from p2ptk.contracts import Judgement, Translation
from p2ptk.device import Precision
from p2ptk.feed import Batch
from p2ptk.optim import make_updater
from p2ptk.step import Networks, Phase, Step, Term, adversarial_step

WIDTH = 4
PRECISION = Precision("fp32", "cpu")


class Painter(nn.Module):
    """A generator of two convolutions."""

    size_multiple = 1

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, WIDTH, 3, padding=1), nn.LeakyReLU(0.2), nn.Conv2d(WIDTH, 3, 3, padding=1)
        )

    def forward(self, source: Tensor) -> Tensor:
        return torch.tanh(self.layers(source))


class Judge(nn.Module):
    """A discriminator of two scales, without norms or draws; smooth, for second derivatives."""

    receptive_field = 10

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(6, WIDTH, 4, stride=2, padding=1)
        self.second = nn.Conv2d(WIDTH, WIDTH, 4, stride=2, padding=1)
        self.fine = nn.Conv2d(WIDTH, 1, 1)
        self.coarse = nn.Conv2d(WIDTH, 1, 1)

    def forward(self, source: Tensor, image: Tensor) -> Judgement:
        shallow = nn.functional.softplus(self.first(torch.cat([source, image], dim=1)))
        deep = nn.functional.softplus(self.second(shallow))
        return Judgement(
            logits=(self.fine(shallow), self.coarse(deep)), features=((shallow,), (shallow, deep))
        )


class Stage:
    """Both networks in their state from seed 0, and a batch.

    asked: how often the discriminator was asked.
    """

    def __init__(self, side: int, count: int, extra: Mapping[str, int]) -> None:
        torch.manual_seed(0)
        self.generator, self.discriminator = Painter(), Judge()
        numbers = torch.Generator().manual_seed(1)

        def draw(channels: int) -> Tensor:
            return torch.rand(count, channels, side, side, generator=numbers) * 2 - 1

        self.source, self.target = draw(3), draw(3)
        self.extra = {name: draw(channels).gt(0).float() for name, channels in extra.items()}
        self.asked = 0

    def translation(
        self, phase: Phase, loss: Any, *, seed: int = 0, half: bool = False
    ) -> Translation:
        """What a loss sees in a phase, as `adversarial_step` makes it.

        half: the networks compute under bfloat16 autocast.
        """
        exact = bool(getattr(loss, "input_gradients", False))
        source, target = self.source, self.target
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            fake = self.generator(source).float()
        if phase == "D":
            fake = fake.detach()
            if exact:
                fake, target = fake.requires_grad_(), target.detach().clone().requires_grad_()

        def judge(origin: Tensor, image: Tensor) -> Judgement:
            self.asked += 1
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half and not exact):
                found: Judgement = self.discriminator(origin, image)
            return Judgement(tuple(x.float() for x in found.logits), found.features)

        self.discriminator.requires_grad_(phase == "D")
        return Translation(
            step=0,
            epoch=0.0,
            phase=phase,
            rng=torch.Generator().manual_seed(seed),
            source=source,
            target=target,
            fake=fake,
            extra=self.extra,
            generator=self.generator,
            judge=judge,
        )

    def step(self, terms: list[Term]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """One real update: its scalars, and the weights of both networks afterwards."""
        self.discriminator.requires_grad_(True)
        # Adam's first step would show a gradient's sign alone.
        train = Train(optimizer="sgd", lr=1e-2)
        scaler = PRECISION.scaler()
        networks = Networks(
            generator=self.generator,
            discriminator=self.discriminator,
            g=make_updater(self.generator.named_parameters(), train, "g", scaler),
            d=make_updater(self.discriminator.named_parameters(), train, "d", scaler),
            precision=PRECISION,
        )
        batch = Batch(self.source, self.target, self.extra)
        scalars = adversarial_step(networks, terms, batch, Step())
        state = {f"generator.{k}": v for k, v in self.generator.state_dict().items()}
        state |= {f"discriminator.{k}": v for k, v in self.discriminator.state_dict().items()}
        return scalars, state


Side = Literal["generator", "discriminator"]


def sides_of(loss: Any) -> list[tuple[Side, Phase]]:
    """The phases that a loss has a term for."""
    both: list[tuple[Side, Phase]] = [("discriminator", "D"), ("generator", "G")]
    return [(side, phase) for side, phase in both if callable(getattr(loss, side, None))]
