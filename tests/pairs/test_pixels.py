from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from p2ptk.contracts import Side
from p2ptk.pairs.pixels import as_input, denormalise, fit, normalise, one_hot, resize

IMAGE = Side()


@pytest.mark.parametrize(("dtype", "last"), [(torch.uint8, 255), (torch.uint16, 65535)])
def test_every_value_of_a_dtype_returns(dtype: torch.dtype, last: int) -> None:
    values = torch.arange(last + 1).to(dtype)[None, None]
    x = normalise(values, IMAGE)
    assert x.dtype == torch.float32
    assert (x.min().item(), x.max().item()) == (-1, 1)
    assert torch.equal(denormalise(x[None], IMAGE, dtype)[0], values)


@settings(max_examples=50, deadline=None)
@given(low=st.floats(-1e4, 1e4), width=st.floats(0.1, 1e4))
def test_ranges_return_within_float_accuracy(low: float, width: float) -> None:
    side = Side("values", (low, low + width))
    values = torch.linspace(low, low + width, 33, dtype=torch.float64).float()[None, None, None]
    x = normalise(values, side)
    assert x.abs().max() <= 1
    back = denormalise(x, side, torch.float32)
    torch.testing.assert_close(back, values, rtol=1e-5, atol=1e-6 * (abs(low) + width))


def test_out_of_range_is_cut_both_ways_and_never_wraps() -> None:
    side = Side("values", (0.0, 1.0))
    values = torch.tensor([[-5.0, 0.0, 0.5, 1.0, 9.0]])
    kept = values.clone()
    assert normalise(values, side).tolist() == [[-1, -1, 0, 1, 1]]
    assert torch.equal(values, kept)  # the caller's tensor stays as it is
    x = torch.tensor([-1.02, -1.0, 0.0, 1.0, 1.02])[None, None, None]
    assert denormalise(x, IMAGE, torch.uint8).flatten().tolist() == [0, 0, 128, 255, 255]
    assert denormalise(x, IMAGE, torch.uint16).flatten().tolist() == [0, 0, 32768, 65535, 65535]
    wide = Side("values", (-300.0, 300.0))
    assert denormalise(x, wide, torch.uint8).flatten().tolist() == [0, 0, 0, 255, 255]


def test_rounding_is_to_the_nearest() -> None:
    x = torch.tensor([10.4, 10.6]).div(127.5).sub(1)[None, None, None]
    assert denormalise(x, IMAGE, torch.uint8).flatten().tolist() == [10, 11]


def test_float_data_without_a_range_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a range"):
        normalise(torch.zeros(1), IMAGE)


@pytest.mark.parametrize("size", [(20, 31), (64, 90), (33, 47), (50, 40)])
def test_resizing_agrees_with_pillow(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    array = rng.uniform(-0.9, 0.9, (33, 47)).astype(np.float32)
    expected = Image.fromarray(array).resize(size[::-1], Image.Resampling.BICUBIC)
    found = resize(torch.from_numpy(array)[None, None], size)
    torch.testing.assert_close(
        found[0, 0], torch.from_numpy(np.array(expected)).clamp(-1, 1), rtol=0, atol=1e-5
    )


def test_resizing_to_the_same_size_is_the_same_tensor() -> None:
    x = torch.rand(1, 2, 5, 7)
    assert resize(x, (5, 7)) is x


def test_overshoot_is_cut() -> None:
    steps = torch.where(torch.arange(16) < 8, -1.0, 1.0).expand(1, 1, 16, 16)
    assert resize(steps, (37, 37)).abs().max() == 1


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.float32])
def test_nearest_makes_no_new_numbers(dtype: torch.dtype) -> None:
    x = torch.tensor([[3, 200], [7, 11]], dtype=dtype)[None, None]
    y = resize(x, (4, 6), nearest=True)
    assert y.dtype == dtype
    assert y[0, 0].tolist() == [[3] * 3 + [200] * 3] * 2 + [[7] * 3 + [11] * 3] * 2


def test_labels_become_one_hot_and_return() -> None:
    side = Side("labels", classes=4)
    numbers = torch.tensor([[0, 3], [2, 1]], dtype=torch.uint8)[None, None]
    x = as_input(fit(numbers, side, (4, 4)), side)
    assert x.shape == (1, 4, 4, 4)
    assert x.sum(1).unique().tolist() == [1]
    assert torch.equal(denormalise(x, side, torch.uint8), resize(numbers, (4, 4), nearest=True))
    assert one_hot(numbers, 4)[0, :, 0, 1].tolist() == [0, 0, 0, 1]


def test_fit_of_images_normalises_then_resizes() -> None:
    x = torch.full((2, 3, 4, 4), 255, dtype=torch.uint8)
    y = fit(x, IMAGE, (6, 5))
    assert y.shape == (2, 3, 6, 5)
    torch.testing.assert_close(y, torch.ones_like(y))
    assert torch.equal(as_input(y, IMAGE), y)
