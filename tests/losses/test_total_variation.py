from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from p2ptk.losses.total_variation import TotalVariationLoss


def variation(fake: torch.Tensor) -> Any:
    t: Any = SimpleNamespace(fake=fake)
    return TotalVariationLoss().generator(t)


def test_value_by_hand() -> None:
    fake = torch.tensor([[[[0.0, 1.0, 3.0], [2.0, 2.0, 2.0]]]])
    down, right = 2 + 1 + 1, 1 + 2 + 0 + 0
    assert variation(fake).item() == pytest.approx((down + right) / 6)


@given(height=st.integers(1, 5), width=st.integers(1, 5), seed=st.integers(0, 99))
def test_the_same_for_every_turn_and_shift_and_never_below_zero(
    height: int, width: int, seed: int
) -> None:
    x = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(seed))
    value = variation(x)
    assert value.isfinite()
    assert value >= 0
    for same in (x.flip(-1), x.flip(-2), x.transpose(-1, -2), x + 3, -x):
        torch.testing.assert_close(variation(same), value)
    assert variation(torch.full_like(x, 0.3)) == 0


def test_half_precision_is_summed_in_float32() -> None:
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    assert variation(x).dtype == torch.float32
    assert torch.equal(variation(x), variation(x.float()))
