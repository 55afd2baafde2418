"""Mean squared difference."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from p2ptk.contracts import Translation


class L2Loss:
    """(fake - target)^2, mean over all values (Pathak et al. 2016, eq. 1)."""

    def generator(self, t: Translation) -> Tensor:
        return F.mse_loss(t.fake.float(), t.target.float())
