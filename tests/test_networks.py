"""What holds for every network: copies, memory formats, precision, compilers, CUDA graphs."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from p2ptk.discriminators.multiscale import Multiscale
from p2ptk.discriminators.patchgan import PatchGAN
from p2ptk.discriminators.unet import UNetDiscriminator
from p2ptk.generators.encoder_decoder import EncoderDecoder
from p2ptk.generators.resnet import ResNet
from p2ptk.generators.spade import SPADE
from p2ptk.generators.unet import UNet
from p2ptk.generators.unet_attention import SelfAttention, UNetAttention
from p2ptk.init import initialise

CHANNELS = {"source_channels": 3, "target_channels": 2}


class Logits(nn.Module):
    """All logits of a discriminator, as a function of its source."""

    def __init__(self, judge: nn.Module) -> None:
        super().__init__()
        self.judge = judge

    def forward(self, source: Tensor) -> Tensor:
        return torch.cat([x.flatten(1) for x in self.judge(source, source[:, :2]).logits], dim=1)


def attentive() -> nn.Module:
    network = UNetAttention(**CHANNELS, depth=4, width=8, dropout=0.0, attention=(4,))
    for module in network.modules():
        if isinstance(module, SelfAttention):
            module.gamma.data.fill_(1.0)  # it starts at 0, where nothing could be seen of it
    return network


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "unet": lambda: UNet(**CHANNELS, depth=4, width=4, dropout=0.0),
    "unet-instance-resize": lambda: UNet(
        **CHANNELS, depth=4, width=4, dropout=0.0, norm="instance", upsample="resize"
    ),
    "unet-subpixel": lambda: UNet(
        **CHANNELS, depth=3, width=4, dropout=0.0, norm="none", upsample="subpixel"
    ),
    "encoder-decoder": lambda: EncoderDecoder(**CHANNELS, depth=3, width=4, dropout=0.0),
    "resnet": lambda: ResNet(**CHANNELS, width=4, blocks=2),
    "resnet-instance": lambda: ResNet(**CHANNELS, width=4, blocks=2, norm="instance"),
    "spade": lambda: SPADE(**CHANNELS, width=4, depth=2, hidden=4),
    "unet-attention": attentive,
    "patchgan": lambda: Logits(PatchGAN(**CHANNELS, layers=2, width=4)),
    "patchgan-spectral": lambda: Logits(PatchGAN(**CHANNELS, layers=2, width=4, spectral=True)),
    "multiscale": lambda: Logits(Multiscale(**CHANNELS, scales=2, layers=1, width=4)),
    "unet-discriminator": lambda: Logits(UNetDiscriminator(**CHANNELS, layers=2, width=4)),
}


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    made = NETWORKS[request.param]()
    initialise(made, gain=0.1)
    return made


def gradients(network: nn.Module, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    network.zero_grad()
    y = network(x)
    y.square().mean().backward()
    return y.detach(), [p.grad.clone() for p in network.parameters() if p.grad is not None]


X = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def test_a_deep_copy_is_its_own(network: nn.Module) -> None:
    twin = copy.deepcopy(network)
    assert torch.equal(network(X), twin(X))
    for parameter in network.parameters():
        parameter.data.zero_()
    assert not torch.equal(network(X), twin(X))


@pytest.mark.parametrize("images", [1, 2])
def test_channels_last_gives_the_same(network: nn.Module, images: int) -> None:
    network, x = network.double(), X[:images].double()  # so that rounding hides nothing
    y, grads = gradients(copy.deepcopy(network), x)
    last = network.to(memory_format=torch.channels_last)
    z, others = gradients(last, x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(y, z, atol=1e-9, rtol=1e-9)
    for a, b in zip(grads, others, strict=True):
        torch.testing.assert_close(a, b, atol=1e-9, rtol=1e-6)


def test_bf16_is_near_and_images_leave_in_float32(network: nn.Module) -> None:
    y = copy.deepcopy(network)(X)
    with torch.autocast("cpu", torch.bfloat16):
        z, grads = gradients(network, X)
    assert all(g.dtype == torch.float32 and g.isfinite().all() for g in grads)
    assert isinstance(network, Logits) or z.dtype == torch.float32
    torch.testing.assert_close(y, z.float(), atol=0.1, rtol=0.1)


def test_the_input_is_left_as_it_was(network: nn.Module) -> None:
    x = X.clone()
    network(x)
    assert torch.equal(x, X)


def test_compiles_to_one_graph(network: nn.Module) -> None:
    twin = copy.deepcopy(network)
    torch.compiler.reset()
    compiled = torch.compile(twin, backend="aot_eager", fullgraph=True)
    y, grads = gradients(network, X)
    z, others = gradients(compiled, X)
    torch.testing.assert_close(y, z, atol=1e-5, rtol=1e-5)
    for a, b in zip(grads, others, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_training_step_can_be_captured(network: nn.Module) -> None:
    network.cuda().to(memory_format=torch.channels_last)
    x = X.cuda().to(memory_format=torch.channels_last)

    def step() -> Tensor:
        network.zero_grad(set_to_none=False)
        with torch.autocast("cuda", torch.bfloat16):
            y = network(x)
        y.float().square().mean().backward()
        return y

    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = step()
    graph.replay()
    torch.cuda.synchronize()
    captured = y.clone()
    torch.testing.assert_close(step(), captured, atol=2e-2, rtol=2e-2)
