"""Translations as losses see them, with any discriminator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from p2ptk.contracts import Judgement, Translation


@pytest.fixture
def translation() -> Callable[..., Translation]:
    """`translation(judge, target, fake, phase="D")`, as the step makes it for exact losses."""

    def make(
        judge: Callable[[Tensor, Tensor], Judgement], target: Tensor, fake: Tensor, phase: Any = "D"
    ) -> Translation:
        if phase == "D":
            target, fake = (x.detach().clone().requires_grad_() for x in (target, fake))
        return Translation(
            step=0,
            epoch=0.0,
            phase=phase,
            rng=torch.Generator().manual_seed(0),
            source=torch.zeros_like(target).detach(),
            target=target,
            fake=fake,
            extra={},
            generator=nn.Identity(),
            judge=judge,
        )

    return make
