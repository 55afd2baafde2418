"""What one update costs, counted on the package's own step and networks, without memory for them.

The networks live on the meta device: shapes go through them, numbers do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.scaling.saved import Saved
from p2ptk import RunConfig, create, list_components
from p2ptk.build import build_parts, resolve_config
from p2ptk.device import Precision
from p2ptk.feed import Batch
from p2ptk.layers import layers_of
from p2ptk.optim import Updater
from p2ptk.parallel.gradients import BUCKET, buckets
from p2ptk.step import Networks, Step, adversarial_step


@dataclass(frozen=True)
class Setup:
    """A pair of networks, what differs from the recipe pix2pix, and the size (height, width)."""

    name: str
    layers: dict[str, Any]
    size: tuple[int, int]


SETUPS = (
    Setup("pix2pix, 256x256", {}, (256, 256)),
    Setup(
        "half as wide, 256x256",
        {"generator": "unet:width=32", "discriminator": "patchgan:width=32"},
        (256, 256),
    ),
    Setup(
        "pix2pixHD G1, 512x1024",
        {
            "generator": "pix2pixhd",
            "discriminator": "multiscale",
            "losses": ["gan:mode=lsgan", "feature-matching:weight=10"],
        },
        (512, 1024),
    ),
)


@dataclass(frozen=True)
class Bucket:
    """Gradients that are sent at once. at: FLOP a pair since the step began, when all are there."""

    bytes: int
    at: float


@dataclass(frozen=True)
class Side:
    """One network. end: FLOP a pair after which its backward pass is over, as `Bucket.at`."""

    parameters: int
    forward: float
    end: float
    buckets: tuple[Bucket, ...]


@dataclass(frozen=True)
class Work:
    """One update on one pair. flops: in convolutions and matrix products, of both phases.

    operations: that eager code launches, in hundreds. norms: forwards of batch norms.
    kept: bytes that autograd keeps at once for a pair, in float32.
    """

    setup: Setup
    flops: float
    d: Side
    g: Side
    operations: int
    norms: int
    kept: int

    @property
    def parameters(self) -> int:
        return self.g.parameters + self.d.parameters


class _Counter(TorchDispatchMode):
    """Operations that compute something: all but views and empty memory."""

    def __init__(self) -> None:
        super().__init__()
        self.found = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.found += not func.is_view and "empty" not in func.name()
        return func(*args, **(kwargs or {}))


class _Watched(Updater):
    """Notes when each gradient is whole, and updates nothing."""

    def __init__(self, network: nn.Module, flops: FlopCounterMode) -> None:
        parameters = dict(network.named_parameters())
        scaler = torch.amp.GradScaler("cpu", enabled=False)
        super().__init__(parameters, torch.optim.SGD(parameters.values()), scaler)
        self.flops = flops
        self.at: dict[Tensor, float] = {}
        self.end = 0.0
        for parameter in self.parameters.values():
            parameter.register_post_accumulate_grad_hook(self._note)

    def _note(self, parameter: Tensor) -> None:
        self.at[parameter] = float(self.flops.get_total_flops())
        parameter.grad = None

    def backward(self, loss: Tensor, only: bool = False) -> None:
        loss.backward()
        self.end = float(self.flops.get_total_flops())

    def step(self, finite: Tensor) -> None:
        pass

    def side(self, forward: float) -> Side:
        """As it is sent: the last parameters first, no bucket before those ahead of it."""
        found: list[Bucket] = []
        earliest = 0.0
        for bucket in buckets(list(self.parameters.values())[::-1], BUCKET):
            earliest = max(earliest, *(self.at[p] for p in bucket))
            found.append(Bucket(sum(p.nbytes for p in bucket), earliest))
        number = sum(p.numel() for p in self.parameters.values())
        return Side(number, forward, self.end, tuple(found))


class _Channels:
    """What `build_parts` asks of data."""

    source_channels = target_channels = 3
    augmentations = ()


@cache
def count(name: str) -> Work:
    """What an update of the setup of this name costs: the reference recipe's, on one pair."""
    (setup,) = (each for each in SETUPS if each.name == name)
    config = resolve_config(RunConfig.of(*layers_of({}, "pix2pix"), setup.layers))
    flops = FlopCounterMode(display=False)
    with torch.device("meta"):
        parts = build_parts(config, _Channels())  # type: ignore[arg-type]
        source, target = (torch.empty(1, 3, *setup.size) for _ in range(2))
    G, D = parts.generator.train(), parts.discriminator
    assert D is not None
    with torch.no_grad():
        forwards = [_flops(G, source), _flops(D.train(), source, target)]
    norms: list[nn.Module] = []
    for module in (*G.modules(), *D.modules()):
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(lambda layer, *_: norms.append(layer))
    with flops, _Counter() as operations, Saved(G, D) as saved:
        g, d = _Watched(G, flops), _Watched(D, flops)
        networks = Networks(G, D, g, d, Precision("fp32", "cpu"))
        adversarial_step(networks, parts.losses, Batch(source, target), Step())
    total = float(flops.get_total_flops())
    # Rounded, since versions of torch cut a layer's work into more or fewer operations.
    launched = round(operations.found, -2)
    return Work(
        setup, total, d.side(forwards[1]), g.side(forwards[0]), launched, len(norms), saved.most
    )


def _flops(network: nn.Module, *inputs: Tensor) -> float:
    with FlopCounterMode(display=False) as counter:
        network(*inputs)
    return float(counter.get_total_flops())


@cache
def largest_networks() -> list[tuple[str, str, int]]:
    """The built-in networks as they come: (kind, name, parameters), the largest first."""
    found = []
    for kind in ("generator", "discriminator"):
        for provided in list_components(kind):
            if provided.distribution == "p2ptk":
                with torch.device("meta"):
                    network = create(kind, provided.name, source_channels=3, target_channels=3)
                size = sum(p.numel() for p in network.parameters())
                found.append((kind, provided.name, size))
    return sorted(found, key=lambda each: -each[2])
