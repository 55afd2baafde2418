"""Dropout as a pure function of a seed that is an input, so that every format can compute it.

At test time pix2pix's dropout is its noise. Torch's own random numbers stop at the border of a
graph, and other programs draw others. Here masks are integer arithmetic on (seed, layer, place).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from p2ptk.errors import UserError
from p2ptk.inference import _Active, _twin

PRIME = 2**31 - 1  # products of two numbers below it fit in int64
STEPS = (48_271, 69_621, 39_373, 16_807)  # primitive roots of PRIME


class Seed:
    """Where the dropouts of a network find this call's seed."""

    value: Tensor


def uniform(count: Any, seed: Tensor, layer: int) -> Tensor:
    """`count` numbers in [0, 1), the same on every device.

    seed: int64, one number, of which 31 bits count. Each place's number goes four times through
    x -> x^2 + a x + b modulo a prime; one round of a linear rule would leave neighbours alike.
    """
    start = torch.remainder(seed.reshape(1) * STEPS[0] + 7919 * (layer + 1), PRIME)
    x = torch.remainder(torch.arange(count, device=seed.device) + 1 + start, PRIME)
    for step in STEPS:
        x = torch.remainder(x * x + step * (x + start) + layer, PRIME)
    return torch.remainder(x, 2**24).float() / 2**24


class SeededDropout(nn.Module):
    """Dropout of N C H W by `uniform`: one mask for all pictures of a batch.

    whole: whether whole channels are dropped, as `nn.Dropout2d` does.
    """

    def __init__(self, p: float, seed: Seed, layer: int, whole: bool) -> None:
        super().__init__()
        self.p, self.seed, self.layer, self.whole = p, seed, layer, whole

    def forward(self, x: Tensor) -> Tensor:
        channels, height, width = x.shape[1:]
        shape = (1, channels, 1, 1) if self.whole else (1, channels, height, width)
        count = channels if self.whole else channels * height * width
        kept = uniform(count, self.seed.value, self.layer).view(shape) >= self.p
        return x * (kept.to(x) / max(1.0 - self.p, 1e-12))


def seeded(generator: nn.Module) -> tuple[nn.Module, Seed]:
    """A twin of a generator that `apply_rule` made, whose active dropouts draw from a seed.

    Raises UserError for dropout of other tensors than N C H W.
    """
    twin, seed = _twin(generator), Seed()
    layers = [layer for layer in twin.modules() if isinstance(layer, _Active) and layer.p > 0]
    for number, layer in enumerate(layers):
        if not issubclass(layer.plain, nn.Dropout | nn.Dropout2d):
            raise UserError(
                f"{layer.plain.__name__} can't be exported as noise: export with --noise off."
            )
        drop = SeededDropout(layer.p, seed, number, issubclass(layer.plain, nn.Dropout2d))
        layer.__class__ = SeededDropout  # type: ignore[assignment]
        layer.__dict__.update(drop.__dict__)
    return twin, seed
