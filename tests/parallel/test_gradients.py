from __future__ import annotations

import copy

import pytest
import torch
import torch.distributed as dist
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from p2ptk.parallel.gradients import Exchange, buckets, in_memory_order, out_of_memory_order


@given(st.lists(st.integers(1, 40), min_size=1, max_size=20), st.integers(1, 200))
def test_buckets_hold_everything_in_its_order_and_are_just_full(
    sizes: list[int], most: int
) -> None:
    parameters = [nn.Parameter(torch.zeros(size)) for size in sizes]
    found = buckets(parameters, most)
    assert [id(p) for bucket in found for p in bucket] == [id(p) for p in parameters]
    for bucket in found:
        assert sum(p.nbytes for p in bucket[:-1]) < most
    for bucket in found[:-1]:
        assert sum(p.nbytes for p in bucket) >= most


def test_buckets_hold_numbers_of_one_kind() -> None:
    kinds = [torch.float32, torch.float32, torch.float64]
    found = buckets([nn.Parameter(torch.zeros(2, dtype=kind)) for kind in kinds], 1000)
    assert [len(bucket) for bucket in found] == [2, 1]


@given(
    st.lists(st.integers(1, 4), min_size=4, max_size=4),
    st.permutations([0, 1, 2, 3]),
    st.booleans(),
)
def test_memory_order_goes_there_and_back(
    shape: list[int], order: list[int], same_layout: bool
) -> None:
    """A gradient may lie in memory otherwise than its parameter, and differently by process."""
    like = torch.randn(shape).permute(order)
    x = torch.randn(like.shape) if not same_layout else torch.randn_like(like)
    flat = in_memory_order(x, like).reshape(-1)
    back = out_of_memory_order(flat, like)
    assert torch.equal(back, x)
    assert all(
        a == b for a, b, n in zip(back.stride(), like.stride(), like.shape, strict=True) if n > 1
    )


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.Tanh(), nn.Conv2d(8, 2, 3), nn.Linear(4, 4)).to(
        memory_format=torch.channels_last
    )


@pytest.mark.parametrize("only", [True, False])
@pytest.mark.parametrize("most", [1, 300, 10**6])
def test_gradients_of_one_process_stay_as_they_are(
    group: None, network: nn.Module, only: bool, most: int
) -> None:
    alone = copy.deepcopy(network)
    x = torch.randn(2, 3, 8, 8)
    alone(x).square().mean().backward()
    exchange = Exchange(network.parameters(), world=1, most=most)
    for _ in range(2):  # what one step leaves behind must not reach the next
        network.zero_grad()
        exchange.begin(only)
        network(x).square().mean().backward()
        assert bool(exchange.sent) == only  # they leave within the backward pass
        assert exchange.finish(torch.tensor(True))
    for mine, theirs in zip(network.parameters(), alone.parameters(), strict=True):
        assert mine.grad is not None
        assert theirs.grad is not None
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=0, atol=0)


def test_gradients_are_what_the_sum_says(
    group: None, network: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the sum over processes is 10 times this one's, and there are four."""
    whole = dist.all_reduce

    def ten_times(x: torch.Tensor, *args: object, **more: object) -> object:
        if args:  # the flag, of which the least counts
            return whole(x, *args, **more)
        return whole(x.mul_(10), **more)

    monkeypatch.setattr(dist, "all_reduce", ten_times)
    exchange = Exchange(network.parameters(), world=4)
    exchange.begin(only=True)
    network(torch.ones(1, 3, 8, 8)).sum().backward()
    before = [torch.clone(p.grad) for p in network.parameters() if p.grad is not None]
    exchange.finish(torch.tensor(True))
    for p, grad in zip(network.parameters(), before, strict=True):
        torch.testing.assert_close(p.grad, grad * 2.5)


def test_parameters_without_a_gradient_are_left_alone(group: None, network: nn.Module) -> None:
    exchange = Exchange(network.parameters(), world=1, most=1)
    exchange.begin(only=True)
    network[0](torch.ones(1, 3, 8, 8)).sum().backward()
    exchange.finish(torch.tensor(True))
    assert [p.grad is None for p in network.parameters()] == [False, False] + [True] * 4


def test_no_gradients_at_all_are_no_fault(group: None, network: nn.Module) -> None:
    exchange = Exchange(network.parameters(), world=1)
    assert exchange.finish(torch.tensor(True))
    assert not exchange.finish(torch.tensor(False))
