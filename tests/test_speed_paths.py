"""Every faster way against the plain one: the same numbers, but for rounding."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from p2ptk.build import Parts, place
from p2ptk.components import create
from p2ptk.config import Train
from p2ptk.deep import MOST_PIXELS, DeepConv2d, DeepConvTranspose2d, as_products
from p2ptk.device import Precision, keep_memory
from p2ptk.errors import UserError
from p2ptk.feed import Batch
from p2ptk.freeze import still_statistics
from p2ptk.inference import apply_rule
from p2ptk.init import initialise
from p2ptk.optim import make_updater
from p2ptk.recompute import recompute
from p2ptk.speed import need_compiler
from p2ptk.step import Step, Term, adversarial_step

RGB = {"source_channels": 3, "target_channels": 3}
CPU = torch.device("cpu")
FP32 = Precision("fp32", "cpu")
PLAIN: dict[str, Any] = {"channels_last": False, "deep_products": False}


@pytest.fixture(autouse=True)
def every_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small layers become products, too."""
    monkeypatch.setattr("p2ptk.deep.LEAST_WEIGHTS", 0)


def losses_of(
    precision: str = "fp32", steps: int = 5, dropout: float = 0.0, **train: Any
) -> list[dict[str, float]]:
    """The scalars of some steps of a small pix2pix whose deepest map is one pixel."""
    torch.manual_seed(0)
    networks: list[nn.Module] = []
    for kind, spec in (
        ("generator", f"unet:depth=6,width=8,dropout={dropout},dropout_at=paper"),
        ("discriminator", "patchgan:layers=2,width=8"),
    ):
        networks.append(create(kind, spec, **RGB))
        initialise(networks[-1])
    terms = [Term("gan", create("loss", "gan")), Term("l1", create("loss", "l1"), 100.0)]
    parts = Parts(networks[0], networks[1], terms, [])
    placed = place(parts, Train(**train), CPU, Precision(precision, "cpu"))  # type: ignore[arg-type]
    rng = torch.Generator().manual_seed(0)
    rows = []
    for number in range(steps):
        coarse = torch.rand(2, 3, 8, 8, generator=rng) * 2 - 1
        source = F.interpolate(coarse, 64, mode="bilinear")
        batch = Batch(source, -F.avg_pool2d(source, 3, 1, 1))
        scalars = adversarial_step(placed, terms, batch, Step(number, seed=number))
        rows.append({name: value.item() for name, value in scalars.items()})
    return rows


@pytest.mark.parametrize(
    "path",
    [
        {"channels_last": True, "deep_products": False},
        {"channels_last": True, "deep_products": True},
    ],
    ids=str,
)
def test_losses_after_five_steps(path: dict[str, Any]) -> None:
    """Adam's first steps turn the rounding of tiny gradients into whole steps of their weights, so
    differences grow from step to step. Measured: 2e-7 in the first, 7e-6 at the most.
    """
    plain, fast = losses_of(**PLAIN), losses_of(**path)
    assert fast[0] == pytest.approx(plain[0], rel=1e-5)
    assert fast[-1] == pytest.approx(plain[-1], rel=1e-4)


@pytest.mark.slow
def test_losses_of_compiled_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced and differentiated ahead of time, as for any backend, but without making code."""
    kinds = []

    def compiled(network: nn.Module) -> None:
        kinds.append(type(network).__name__)
        network._compiled_call_impl = torch.compile(network._call_impl, backend="aot_eager")

    monkeypatch.setattr(nn.Module, "compile", compiled)
    plain, fast = losses_of(), losses_of(compile=True)
    assert kinds == ["UNet", "PatchGAN"]
    assert fast[0] == pytest.approx(plain[0], rel=1e-5)
    assert fast[-1] == pytest.approx(plain[-1], rel=1e-4)


def test_losses_in_bf16() -> None:
    """Measured: 7e-5 in the first step, 3e-4 at the most; bf16 itself is 6e-4 from float32."""
    plain, fast = losses_of("bf16", **PLAIN), losses_of("bf16")
    assert fast[0] == pytest.approx(plain[0], rel=1e-3)
    assert fast[-1] == pytest.approx(plain[-1], rel=5e-3)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_blocks_computed_twice_change_nothing(dropout: float) -> None:
    once = losses_of(dropout=dropout)
    assert losses_of(dropout=dropout, checkpoint_activations=True) == once


# The deepest layers as products.


def layer(up: bool, bias: bool = True) -> nn.Module:
    torch.manual_seed(1)
    kind = nn.ConvTranspose2d if up else nn.Conv2d
    made = kind(6, 5, 4, stride=2, padding=1, bias=bias)
    return made.to(memory_format=torch.channels_last)


def gradients(module: nn.Module, x: Tensor) -> list[Tensor]:
    """The result, and its gradients by the input and the parameters."""
    x = x.clone().requires_grad_()
    y = module(x)
    weights = torch.linspace(-1, 1, y.numel()).view_as(y)
    return [y, *torch.autograd.grad((y * weights).sum(), [x, *module.parameters()])]


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("size", [(1, 2, 2), (1, 1, 3), (2, 4, 6), (3, 2, 8), (1, 5, 7)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_product_is_the_convolution(
    up: bool, bias: bool, size: tuple[int, int, int], layout: torch.memory_format
) -> None:
    n, height, width = size
    if not up and min(height, width) == 1:
        height, width = height * 2, width * 2
    conv = layer(up, bias).double()
    product = copy.deepcopy(conv)
    as_products(product, FP32)
    assert type(product) in (DeepConv2d, DeepConvTranspose2d)
    x = torch.randn(n, 6, height, width, dtype=torch.double).contiguous(memory_format=layout)
    for ours, theirs in zip(gradients(product, x), gradients(conv, x), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("up", [False, True])
def test_a_product_can_be_differentiated_twice(up: bool) -> None:
    conv: Any = layer(up).double()
    as_products(conv, FP32)
    weight, bias = conv.weight, conv.bias

    def call(x: Tensor, weight: Tensor, bias: Tensor) -> Any:
        given = {"weight": weight, "bias": bias}
        return torch.func.functional_call(conv, given, x)

    x = torch.randn(1, 6, 2, 2, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(call, (x, weight, bias))
    assert torch.autograd.gradgradcheck(call, (x, weight, bias))


@pytest.mark.parametrize("up", [False, True])
def test_large_maps_stay_convolutions(up: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "mm", None)
    conv = layer(up)
    as_products(conv, FP32)
    side = int((MOST_PIXELS["fp32"] * (1 if up else 4)) ** 0.5)
    assert conv(torch.randn(1, 6, side + 2, side + 2)).isfinite().all()
    with pytest.raises(TypeError):
        conv(torch.randn(1, 6, side, side))


def test_under_autocast_a_product_is_in_half_precision() -> None:
    conv = layer(True)
    as_products(conv, Precision("bf16", "cpu"))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = conv(torch.randn(1, 6, 2, 2))
    assert y.dtype == torch.bfloat16


def test_only_halvings_and_doublings_become_products() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1),
        nn.Conv2d(3, 4, 4, stride=1, padding=1),
        nn.Conv2d(4, 4, 4, stride=2, padding=1, groups=2),
        nn.Conv2d(3, 4, 4, stride=2, padding=1, padding_mode="reflect"),
        nn.ConvTranspose2d(3, 4, 4, stride=2, padding=1, output_padding=1),
    )
    before = [type(x) for x in network]
    as_products(network, FP32)
    assert [type(x) for x in network] == before


def test_small_layers_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    conv = layer(False)
    monkeypatch.setattr("p2ptk.deep.LEAST_WEIGHTS", conv.weight.numel() + 1)  # type: ignore[operator]
    as_products(conv, FP32)
    assert type(conv) is nn.Conv2d


def test_names_and_weights_stay() -> None:
    network = create("generator", "unet:depth=3,width=4", **RGB)
    before = {name: x.clone() for name, x in network.state_dict().items()}
    as_products(network, FP32)
    assert network.state_dict().keys() == before.keys()
    assert all(torch.equal(x, before[name]) for name, x in network.state_dict().items())


# Adam in the order of memory.


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
@pytest.mark.parametrize("last", [(False, False), (True, True), (True, False), (False, True)])
def test_adam_updates_the_right_weights(optimizer: Any, last: tuple[bool, bool]) -> None:
    """Also where a gradient does not lie in memory as its parameter does."""
    layouts = [torch.channels_last if each else torch.contiguous_format for each in last]
    torch.manual_seed(0)
    start, steps = torch.randn(6, 5, 4, 4), [torch.randn(6, 5, 4, 4) for _ in range(3)]
    train = Train(optimizer=optimizer, weight_decay=0.1, lr=1e-2)
    mine = nn.Parameter(start.contiguous(memory_format=layouts[0]))
    updater = make_updater([("w", mine)], train, "g", FP32.scaler())
    theirs = nn.Parameter(start.clone())
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[optimizer]
    usual = kind([theirs], lr=1e-2, betas=(0.5, 0.999), weight_decay=0.1, foreach=False)
    for gradient in steps:
        mine.grad = torch.empty_like(gradient, memory_format=layouts[1]).copy_(gradient)
        theirs.grad = gradient.clone()
        updater.step(torch.tensor(True))
        usual.step()
    torch.testing.assert_close(mine.detach(), theirs.detach(), rtol=1e-5, atol=1e-6)
    state, expected = updater.optimizer.state[mine], usual.state[theirs]
    assert state.keys() == expected.keys()
    assert state["step"] == 3
    for name in ("exp_avg", "exp_avg_sq"):
        assert state[name].stride() == mine.stride()
        torch.testing.assert_close(state[name], expected[name], rtol=1e-5, atol=1e-7)


def test_rates_are_set_once() -> None:
    updater = make_updater(nn.Linear(1, 1).named_parameters(), Train(lr=0.5), "g", FP32.scaler())
    assert updater.lr == 0.5
    updater.set_lr(0.25)
    assert (updater.lr, updater.optimizer.param_groups[0]["lr"]) == (0.25, 0.25)


# Blocks computed twice.

GENERATORS = (
    "unet:depth=4,width=4,dropout_at=paper",
    "unet-attention:depth=4,width=8",
    "encoder-decoder:depth=4,width=4",
    "resnet:blocks=2,width=4,dropout=0.5",
    "pix2pixhd:blocks=1,width=4",
    "spade:depth=3,width=4,hidden=8",
)


@pytest.mark.parametrize("spec", GENERATORS)
def test_gradients_of_blocks_computed_twice(spec: str) -> None:
    """Gradients and all buffers, running statistics among them, are equal bit for bit."""
    torch.manual_seed(0)
    once = create("generator", spec, **RGB)
    initialise(once)
    twice = copy.deepcopy(once)
    assert recompute(twice) > 1
    x = torch.randn(2, 3, 32, 32)
    found = []
    for network in (once, twice):
        torch.manual_seed(3)
        y = network(x)
        y.square().mean().backward()
        found.append([y, *(p.grad for p in network.parameters()), *network.buffers()])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True) if a is not None)
    assert once.state_dict().keys() == twice.state_dict().keys()

    # At test time the copy that is used stands on its own feet.
    before = [x.clone() for x in twice.state_dict().values()]
    with torch.no_grad():
        pictures = [apply_rule(network, "image", False)(x) for network in (once, twice)]
    assert torch.equal(*pictures)
    assert all(torch.equal(a, b) for a, b in zip(before, twice.state_dict().values(), strict=True))
    assert twice.training


def test_less_is_kept_between_the_passes() -> None:
    network = create("generator", "unet:depth=4,width=8", **RGB)

    def kept() -> int:
        held: dict[int, int] = {}

        def pack(x: Tensor) -> Tensor:
            held[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
            return x

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
            y = network(torch.randn(1, 3, 64, 64))
        assert y.requires_grad
        return sum(held.values())

    plain = kept()
    recompute(network)
    assert kept() < 0.7 * plain


def test_statistics_that_stand_still_count_no_batch() -> None:
    network = nn.Sequential(nn.BatchNorm2d(3))
    before = [x.clone() for x in network.state_dict().values()]
    with still_statistics(network, True):
        network(torch.randn(2, 3, 4, 4))
    assert all(
        torch.equal(a, b) for a, b in zip(before, network.state_dict().values(), strict=True)
    )
    network(torch.randn(2, 3, 4, 4))
    assert network[0].num_batches_tracked == 1


# The rest.


def test_memory_can_be_kept_and_given_back_anywhere() -> None:
    keep_memory()
    keep_memory(False)


def test_a_missing_compiler_is_said_before_the_first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p2ptk.speed.shutil.which", lambda name: None)
    with pytest.raises(UserError, match=r"--compile needs a C\+\+ compiler"):
        need_compiler(CPU)
    monkeypatch.setattr("p2ptk.speed.shutil.which", lambda name: name)
    need_compiler(CPU)
