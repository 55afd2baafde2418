"""Mean absolute difference."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from p2ptk.contracts import Translation


class L1Loss:
    """|fake - target|, mean over all values (Isola et al. 2017, eq. 3)."""

    def generator(self, t: Translation) -> Tensor:
        return F.l1_loss(t.fake.float(), t.target.float())
