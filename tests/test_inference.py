from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from p2ptk.inference import (
    apply_rule,
    has_noise,
    tile_statistics,
    uses_own_statistics,
    with_noise,
)
from p2ptk.norms import norm_layer

Norm = Callable[[int], nn.Module]


def instance(channels: int) -> nn.Module:
    return norm_layer("instance", channels)


def group(channels: int) -> nn.Module:
    return nn.GroupNorm(2, channels)


class Activated(nn.BatchNorm2d):
    """A batch norm that does more, as timm's does."""

    def forward(self, input: Tensor) -> Tensor:
        return F.relu(super().forward(input))


def network(norm: Norm = nn.BatchNorm2d, dropout: float = 0.5) -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        norm(8),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Conv2d(8, 6, 4, 2, 1),
        norm(6),
        nn.ReLU(),
        nn.Dropout2d(dropout),
        nn.Conv2d(6, 2, 3, padding=1),
    )
    for layer in net:
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight)
            nn.init.normal_(layer.bias)
            nn.init.normal_(layer.running_mean)
    return net


def pictures(n: int = 3, size: int = 8) -> Tensor:
    scale = torch.arange(1, n + 1).view(-1, 1, 1, 1)
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(1)) * scale


@pytest.mark.parametrize("norm", [nn.BatchNorm2d, Activated, nn.SyncBatchNorm])
def test_image_norm_is_train_mode_at_batch_1(norm: Norm) -> None:
    net, x = network(norm, dropout=0.0), pictures()
    if norm is nn.SyncBatchNorm:
        reference = network(nn.BatchNorm2d, dropout=0.0).train()
        reference.load_state_dict(net.state_dict())
    else:
        reference = copy.deepcopy(net).train()
    expected = torch.cat([reference(x[i : i + 1]) for i in range(3)])
    ruled = apply_rule(net, "image", dropout=False)
    torch.testing.assert_close(ruled(x), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ruled(x[1:2]), expected[1:2], rtol=1e-5, atol=1e-6)


def test_running_norm_is_plain_eval() -> None:
    net, x = network(), pictures()
    expected = copy.deepcopy(net).eval()(x)
    assert torch.equal(apply_rule(net.train(), "running", dropout=False)(x), expected)


def test_the_given_module_is_left_as_it_is() -> None:
    net = network().train()
    before = copy.deepcopy(net.state_dict())
    ruled = apply_rule(net, "image", dropout=True)
    with tile_statistics(ruled, pictures()) as tiled:
        tiled(pictures())
    ruled(pictures())
    assert [type(m) for m in net] == [type(m) for m in network()]
    assert all(m.training for m in net.modules())
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert list(ruled.state_dict()) == list(before)
    assert all(a is b for a, b in zip(net.parameters(), ruled.parameters(), strict=True))


def test_weights_are_shared_with_a_module_that_trains_on() -> None:
    net, x = network(), pictures(1)
    ruled = apply_rule(net, "running", dropout=False)
    first = ruled(x)
    optimizer = torch.optim.Adam(net.parameters(), 0.1)
    net.train()(x).sum().backward()
    optimizer.step()
    assert torch.equal(ruled(x), apply_rule(net, "running", dropout=False)(x))
    assert not torch.equal(ruled(x), first)


@pytest.mark.parametrize("norm", [nn.BatchNorm2d, Activated])
def test_one_pixel_takes_running_statistics(norm: type[nn.BatchNorm2d]) -> None:
    layer = norm(4)
    nn.init.normal_(layer.running_mean)
    x = torch.randn(2, 4, 1, 1)
    assert torch.equal(apply_rule(layer, "image", False)(x), copy.deepcopy(layer).eval()(x))


def test_without_running_statistics_pictures_never_mix() -> None:
    layer = nn.BatchNorm2d(3, track_running_stats=False)
    nn.init.normal_(layer.bias)
    ruled = apply_rule(layer, "running", False)
    x = pictures()
    torch.testing.assert_close(ruled(x)[2:], ruled(x[2:]), rtol=1e-5, atol=1e-6)
    one = torch.randn(2, 3, 1, 1)
    torch.testing.assert_close(ruled(one), layer.bias.view(1, 3, 1, 1).expand(2, -1, -1, -1))


def test_dropout_stays_on_after_eval_and_off_without() -> None:
    net, x = network(), pictures()
    ruled = apply_rule(net, "running", dropout=True).eval()
    assert has_noise(ruled)
    assert not torch.equal(ruled(x), ruled(x))
    off = apply_rule(ruled, "running", dropout=False)
    assert not has_noise(off)
    assert torch.equal(off(x), off(x))


def test_noise_is_a_function_of_the_seed_alone() -> None:
    x = pictures()
    ruled = apply_rule(network(), "image", dropout=True)
    seeded = with_noise(ruled, 3)
    together = seeded(x)
    torch.manual_seed(99)
    assert torch.equal(seeded(x), together)
    torch.testing.assert_close(seeded(x[2:]), together[2:], rtol=1e-5, atol=1e-5)
    assert not torch.equal(with_noise(ruled, 4)(x), together)
    assert torch.get_rng_state().equal(torch.Generator().manual_seed(99).get_state())


@pytest.mark.parametrize("kind", [nn.Dropout, nn.Dropout2d])
def test_seeded_dropout_keeps_the_mean(kind: type[nn.Module]) -> None:
    seeded = with_noise(apply_rule(nn.Sequential(kind(0.25)), "running", True), 0)
    y = seeded(torch.ones(2, 4000, 3, 3))
    assert y.unique().tolist() == [0.0, pytest.approx(1 / 0.75)]
    assert y.mean().item() == pytest.approx(1, abs=0.03)
    if kind is nn.Dropout2d:
        assert torch.equal(y.amin((2, 3)), y.amax((2, 3)))


@pytest.mark.parametrize("norm", [nn.BatchNorm2d, Activated, nn.InstanceNorm2d, instance, group])
def test_tiles_share_the_statistics_of_the_set(norm: Norm) -> None:
    x = pictures(4)
    net = network(norm, dropout=0.0)
    ruled = apply_rule(net, "image", dropout=False)
    assert uses_own_statistics(ruled)
    with tile_statistics(ruled, x) as tiled:
        joint = tiled(x)
        torch.testing.assert_close(tiled(x[2:3]), joint[2:3], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(ruled(x), joint, atol=1e-2)
    # Over one picture, as over a set of its tiles that covers it, they are the picture's own.
    with tile_statistics(ruled, x[:1]) as alone:
        torch.testing.assert_close(alone(x[:1]), ruled(x[:1]), rtol=1e-4, atol=1e-5)
    running = apply_rule(net, "running", dropout=False)
    assert uses_own_statistics(running) is (norm not in (nn.BatchNorm2d, Activated))


def test_batch_norm_over_the_set_is_train_mode_batch_norm() -> None:
    x, net = pictures(4), network(dropout=0.0)
    with tile_statistics(apply_rule(net, "image", dropout=False), x) as tiled:
        joint = tiled(x)
    torch.testing.assert_close(joint, net.train()(x), rtol=1e-4, atol=1e-5)


def test_a_layer_used_twice_has_statistics_for_each_use() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(3)

        def forward(self, x: Tensor) -> Tensor:
            return self.norm(self.norm(x) * 5 + 2)

    x = pictures(2)
    with tile_statistics(apply_rule(Twice(), "image", False), x) as tiled:
        torch.testing.assert_close(tiled(x), Twice().train()(x), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(tiled(x[:1]), Twice().train()(x)[:1], rtol=1e-4, atol=1e-5)


def test_bf16_autocast() -> None:
    net, x = network(dropout=0.0), pictures()
    ruled = apply_rule(net, "image", False)
    with torch.autocast("cpu", torch.bfloat16):
        y = ruled(x)
    torch.testing.assert_close(y.float(), ruled(x), rtol=0.1, atol=0.1)
