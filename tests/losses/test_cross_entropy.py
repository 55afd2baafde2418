from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from p2ptk import create


def test_is_torchs_of_the_class_numbers() -> None:
    rng = torch.Generator().manual_seed(0)
    numbers = torch.randint(0, 4, (2, 5, 6), generator=rng)
    logits = torch.randn(2, 4, 5, 6, generator=rng, requires_grad=True)
    target = F.one_hot(numbers, 4).permute(0, 3, 1, 2).float()
    t: Any = SimpleNamespace(fake=logits, target=target)
    loss = create("loss", "cross-entropy").generator(t)
    assert float(loss.detach()) == pytest.approx(
        float(F.cross_entropy(logits.detach(), numbers)), rel=1e-6
    )
    loss.backward()
    assert logits.grad is not None
    assert logits.grad.sum(1).abs().max() < 1e-6  # of a softmax: it shifts between the classes
