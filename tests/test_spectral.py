from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from p2ptk.init import initialise
from p2ptk.spectral import SpectralConv2d, convolution

X = torch.randn(2, 6, 9, 9, generator=torch.Generator().manual_seed(0))


def layer(seed: int = 0) -> SpectralConv2d:
    torch.manual_seed(seed)
    return SpectralConv2d(6, 8, 3, padding=1)


def largest(weight: Tensor) -> float:
    return torch.linalg.matrix_norm(weight.detach().flatten(1), 2).item()


def test_the_largest_singular_value_is_one() -> None:
    conv = layer()
    with torch.no_grad():
        conv.weight.mul_(7.0)
        for _ in range(100):
            conv(X)
    assert largest(conv.weight) > 3
    assert largest(conv.normed()) == pytest.approx(1.0, abs=1e-4)


def test_equals_torchs_own_step_by_step() -> None:
    conv = layer()
    other = spectral_norm(copy_plain(conv))
    theirs = other.parametrizations.weight[0]
    theirs._u.copy_(conv.u)
    theirs._v.copy_(conv.v)
    for _ in range(3):
        mine, yours = conv(X), other(X)
        torch.testing.assert_close(mine, yours)
        grads = [
            torch.autograd.grad(y.square().mean(), w)[0]
            for y, w in ((mine, conv.weight), (yours, other.parametrizations.weight.original))
        ]
        torch.testing.assert_close(*grads)
    conv.eval()
    other.eval()
    torch.testing.assert_close(conv(X), other(X))


def copy_plain(conv: nn.Conv2d) -> nn.Conv2d:
    plain = nn.Conv2d(6, 8, 3, padding=1)
    plain.load_state_dict({"weight": conv.weight, "bias": conv.bias})
    return plain


def test_eval_mode_and_zero_steps_leave_the_estimate() -> None:
    conv = layer()
    for still in ("eval", "steps"):
        conv.train(still != "eval").steps = int(still != "steps")
        before = conv.u.clone(), conv.v.clone()
        conv(X)
        assert torch.equal(conv.u, before[0])
        assert torch.equal(conv.v, before[1])
    conv.train().steps = 1
    conv(X)
    assert not torch.equal(conv.u, before[0])


def test_two_forwards_before_one_backward() -> None:
    conv = layer()
    (conv(X).square().mean() - conv(X + 1).square().mean()).backward()
    assert conv.weight.grad is not None
    assert conv.weight.grad.isfinite().all()


def test_gradients_of_gradients() -> None:
    conv = layer().double().eval()
    x = X.double().requires_grad_()

    def slope(weight: Tensor) -> Tensor:
        twin = torch.func.functional_call(conv, {"weight": weight}, (x,))
        (gradient,) = torch.autograd.grad(twin.pow(3).sum(), x, create_graph=True)
        return gradient.square().sum()

    weight = conv.weight.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(slope, (weight,), fast_mode=True)


def test_half_precision_leaves_the_estimate_in_float32() -> None:
    conv, twin = layer(), layer()
    with torch.autocast("cpu", torch.bfloat16):
        y = conv(X)
    z = twin(X)
    assert y.dtype == torch.bfloat16
    assert torch.equal(conv.u, twin.u)
    assert torch.equal(conv.v, twin.v)
    torch.testing.assert_close(y.float(), z, atol=0.05, rtol=0.05)
    y.float().sum().backward()
    assert conv.weight.grad is not None
    assert conv.weight.grad.dtype == torch.float32


def test_keys_are_the_plain_ones_and_two_buffers() -> None:
    assert set(layer().state_dict()) == {"weight", "bias", "u", "v"}
    layer().load_state_dict(nn.Conv2d(6, 8, 3).state_dict(), strict=False)
    assert convolution(True) is SpectralConv2d
    assert convolution(False) is nn.Conv2d


def test_initial_weights_are_the_plain_ones_and_known_at_once() -> None:
    """New weights would else begin by an estimate of others, and be too large."""
    conv, plain = layer(), nn.Conv2d(6, 8, 3, padding=1)
    for network in (conv, plain):
        torch.manual_seed(3)
        initialise(network)
    assert torch.equal(conv.weight, plain.weight)
    assert largest(conv.eval().normed()) == pytest.approx(1.0, abs=0.02)


def test_copies_and_memory_formats() -> None:
    conv = layer()
    twin = copy.deepcopy(conv).to(memory_format=torch.channels_last)
    for _ in range(2):
        y = conv(X)
        z = twin(X.contiguous(memory_format=torch.channels_last))
        torch.testing.assert_close(y, z, atol=1e-6, rtol=1e-5)
    twin.u.zero_()
    assert conv.u.norm().item() == pytest.approx(1.0)
