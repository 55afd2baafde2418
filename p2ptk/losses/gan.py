"""Adversarial losses on logits."""

from __future__ import annotations

from typing import Annotated, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from p2ptk.contracts import Judgement, Translation
from p2ptk.errors import UserError

Mode = Literal["vanilla", "lsgan", "hinge", "wgan", "rpgan"]


class GANLoss:
    """What the generator and the discriminator want of each other.

    With x the logits of an image, each a mean within a map, then over maps:

    | mode | D on real | D on fake | G on fake |
    |---|---|---|---|
    | vanilla | -log s(x) | -log(1 - s(x)) | -log s(x) |
    | lsgan | (x - 1)^2 | x^2 | (x - 1)^2 |
    | hinge | max(0, 1 - x) | max(0, 1 + x) | -x |
    | wgan | -x | x | -x |

    vanilla: Goodfellow et al. 2014, non-saturating; s is the logistic function. lsgan: Mao et al.
    2017. hinge: Lim & Ye 2017. wgan: Arjovsky et al. 2017; something else must bound D's slope.

    rpgan is relativistic (Jolicoeur-Martineau 2018, section 4; Huang et al. 2024, R3GAN, section
    2): with m the logit of the target minus that of the fake, of one pair at one place, D's loss is
    -log s(m) and G's is -log s(-m). Both sides see both images, so D is asked once more a step.

    d_scale: factor of the discriminator's sum of both, or of rpgan's one term. 0.5 is the PyTorch
        port's, whose gradient is halved; 1 the paper's Torch code's.
    label_smoothing: what D wants of a real image is 1 minus this (Salimans et al. 2016, 3.4); for
        vanilla and lsgan. Raises UserError for the others, which have no labels.
    """

    def __init__(
        self,
        *,
        mode: Mode = "vanilla",
        d_scale: Annotated[float, Field(gt=0)] = 0.5,
        label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    ) -> None:
        if label_smoothing and mode not in ("vanilla", "lsgan"):
            raise UserError(
                f"gan: mode {mode!r} has no labels to smooth; label_smoothing goes with 'vanilla' "
                "or 'lsgan'."
            )
        self.mode = mode
        self.needs_own_pair = mode == "rpgan"
        self.d_scale = d_scale
        self.real_label = 1.0 - label_smoothing

    def generator(self, t: Translation) -> Tensor:
        if self.mode == "rpgan":
            return _mean([F.softplus(m).mean() for m in _margins(t)])
        if self.mode in ("hinge", "wgan"):
            return _mean([-x.mean() for x in _maps(t.judged_fake)])
        return _mean([self._against(x, 1.0) for x in _maps(t.judged_fake)])

    def discriminator(self, t: Translation) -> Tensor:
        if self.mode == "rpgan":
            margins = _margins(t)
            t.log("d_margin", _mean([m.mean() for m in margins]))
            return self.d_scale * _mean([F.softplus(-m).mean() for m in margins])
        # The fake is judged first, as in the port: D's running statistics depend on the order.
        fake = _mean([self._fake(x) for x in _maps(t.judged_fake)])
        real = _mean([self._real(x) for x in _maps(t.judged_real)])
        t.log("d_fake", fake)
        t.log("d_real", real)
        return self.d_scale * (fake + real)

    def _real(self, x: Tensor) -> Tensor:
        match self.mode:
            case "hinge":
                return F.relu(1 - x).mean()
            case "wgan":
                return -x.mean()
        return self._against(x, self.real_label)

    def _fake(self, x: Tensor) -> Tensor:
        match self.mode:
            case "hinge":
                return F.relu(1 + x).mean()
            case "wgan":
                return x.mean()
        return self._against(x, 0.0)

    def _against(self, x: Tensor, label: float) -> Tensor:
        """How far logits are from a label, for the modes that have labels."""
        if self.mode == "lsgan":
            return (x - label).square().mean()
        return F.binary_cross_entropy_with_logits(x, x.new_full((), label).expand_as(x))


def _maps(judged: Judgement) -> list[Tensor]:
    """The logits in float32, a map a scale."""
    return [logits.float() for logits in judged.logits]


def _margins(t: Translation) -> list[Tensor]:
    """The target's logits minus the fake's, a map a scale. The fake is judged first, as ever."""
    fakes = _maps(t.judged_fake)
    return [real - fake for real, fake in zip(_maps(t.judged_real), fakes, strict=True)]


def _mean(values: list[Tensor]) -> Tensor:
    return sum(values[1:], start=values[0]) / len(values)
