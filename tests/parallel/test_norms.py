from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from p2ptk.freeze import still_statistics
from p2ptk.inference import apply_rule
from p2ptk.parallel.norms import SharedBatchNorm2d, synchronise


def twins(**options: object) -> tuple[nn.BatchNorm2d, nn.BatchNorm2d]:
    torch.manual_seed(0)
    plain = nn.BatchNorm2d(3, **options)  # type: ignore[arg-type]
    if plain.affine:
        nn.init.normal_(plain.weight)
        nn.init.normal_(plain.bias)
    shared = copy.deepcopy(plain)
    synchronise(shared, lambda note: pytest.fail(note))
    assert isinstance(shared, SharedBatchNorm2d)
    return plain, shared


@pytest.mark.parametrize(
    "options",
    [{}, {"affine": False}, {"momentum": None}, {"track_running_stats": False}, {"eps": 0.1}],
)
def test_alone_it_is_batch_norm(group: None, options: dict[str, object]) -> None:
    plain, shared = twins(**options)
    for _ in range(3):
        x = torch.randn(4, 3, 5, 6) * 3 + 2
        close(shared(x), plain(x))
    assert plain.state_dict().keys() == shared.state_dict().keys()
    for name, tensor in plain.state_dict().items():
        close(shared.state_dict()[name], tensor)
    close(shared.eval()(x), plain.eval()(x))


def test_first_and_second_derivatives_are_batch_norms(group: None) -> None:
    found = []
    for norm in twins():
        x = torch.linspace(-1, 2, 2 * 3 * 4 * 4).reshape(2, 3, 4, 4)
        x, norm = x.double().requires_grad_(), norm.double()
        (slope,) = torch.autograd.grad(norm(x).pow(3).sum(), x, create_graph=True)
        slope.square().sum().backward()
        found.append((slope, x.grad, norm.weight.grad, norm.bias.grad))
    for mine, theirs in zip(*found, strict=True):
        if mine is None or theirs is None:
            assert mine is theirs
        else:
            torch.testing.assert_close(theirs, mine, rtol=1e-8, atol=1e-8)


def test_it_computes_in_float32_and_gives_what_it_got(group: None) -> None:
    _, shared = twins()
    x = (torch.randn(2, 3, 4, 4) + 100).bfloat16()
    y = shared(x)
    assert y.dtype == torch.bfloat16
    close(y.float(), shared(x.float()), 0.05)


def test_statistics_stand_still_when_told(group: None) -> None:
    _, shared = twins()
    before = {k: v.clone() for k, v in shared.state_dict().items()}
    with still_statistics(shared, True):
        shared(torch.randn(2, 3, 4, 4))
    for name, tensor in before.items():
        assert torch.equal(shared.state_dict()[name], tensor)


def test_at_test_time_it_asks_nobody() -> None:
    """There is no process group here, so a collective call would fail."""
    plain, shared = twins()
    x = torch.randn(2, 3, 4, 4)
    for rule in ("running", "image"):
        close(apply_rule(shared, rule, False)(x), apply_rule(plain, rule, False)(x))  # type: ignore[arg-type]


def test_other_peoples_batch_norms_are_named_not_changed() -> None:
    class Fancy(nn.BatchNorm2d):
        pass

    notes: list[str] = []
    network = nn.Sequential(nn.Conv2d(3, 3, 1), Fancy(3), nn.BatchNorm2d(3))
    synchronise(network, notes.append)
    assert [type(layer) for layer in network[1:]] == [Fancy, SharedBatchNorm2d]
    assert notes == ["train.sync_norm leaves layers of the class Fancy as they are"]


def close(a: Tensor, b: Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)
