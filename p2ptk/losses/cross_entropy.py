"""Cross entropy over the classes of label maps."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from p2ptk.contracts import Translation


class CrossEntropyLoss:
    """-log of the softmax at the true class, mean over pixels and images.

    For targets of labels, one channel a class, and a generator with `output=linear`.
    """

    def generator(self, t: Translation) -> Tensor:
        log_shares = F.log_softmax(t.fake.float(), 1)
        return -(t.target * log_shares).sum(1).mean()
