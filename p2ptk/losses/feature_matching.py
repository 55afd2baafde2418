"""Features that the discriminator should find alike."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from p2ptk.contracts import Translation


class FeatureMatchingLoss:
    """|D's features of fake - those of target|, by the pair (Wang et al. 2018, pix2pixHD, eq. 4).

    The mean over a feature map's values, then over the layers of a scale, then over scales, so
    that a weight means the same for any discriminator; the paper's sum over the 4 layers of its
    PatchGANs with weight 10 is weight 40 here. The target's features carry no gradient.
    """

    adversarial: ClassVar[bool] = True  # it asks the discriminator, though it does not train it

    def generator(self, t: Translation) -> Tensor:
        fakes, reals = t.judged_fake.features, t.judged_real.features
        scales = []
        for fake, real in zip(fakes, reals, strict=True):
            layers = [
                F.l1_loss(x.float(), y.detach().float()) for x, y in zip(fake, real, strict=True)
            ]
            scales.append(sum(layers[1:], start=layers[0]) / len(layers))
        return sum(scales[1:], start=scales[0]) / len(scales)
