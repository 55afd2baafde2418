"""A preference for smooth pictures."""

from __future__ import annotations

from torch import Tensor

from p2ptk.contracts import Translation


class TotalVariationLoss:
    """Absolute differences between neighbours of the fake, a pixel (Rudin, Osher & Fatemi 1992).

    The anisotropic form, as in Mahendran & Vedaldi 2015 (section 3) with beta = 1: the sum over
    horizontal and vertical neighbours, divided by the number of values.
    """

    def generator(self, t: Translation) -> Tensor:
        x = t.fake.float()
        down = (x[..., 1:, :] - x[..., :-1, :]).abs().sum()
        right = (x[..., 1:] - x[..., :-1]).abs().sum()
        return (down + right) / x.numel()
