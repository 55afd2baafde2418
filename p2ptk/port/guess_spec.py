"""Which of our networks a state dict of the PyTorch port belongs to, told from its tensors.

Names give the kind and the depth, shapes the widths and channels, and what stands beside the
convolutions the norm and the biases. Dropout leaves no tensor; in a ResNet it moves others.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from p2ptk.components import create
from p2ptk.norms import Bias, Norm
from p2ptk.port.keys import patchgan_keys, resnet_keys, unet_keys
from p2ptk.specs import Spec
from p2ptk.tensors import shape_of

Kind = Literal["generator", "discriminator"]
COUNTER = "num_batches_tracked"  # which batch norm did not have before torch 0.4.1
STATISTICS = ("running_mean", "running_var", COUNTER)


@dataclass(frozen=True)
class Guess:
    """A network of ours, and where a state dict's tensors belong in it.

    modules: the port's names of modules -> ours.
    mismatch: the first tensor that does not fit, in words; empty where all fit.
    """

    kind: Kind
    spec: Spec
    modules: dict[str, str]
    source_channels: int
    target_channels: int
    mismatch: str = ""


def guess(state: Mapping[str, Tensor]) -> Guess | None:
    """The network that a state dict of the port is of; None where its names are none of the port's.

    Of the norms and biases that leave such tensors, the port's own come first. Where none fits, the
    guess is the one that fits best, and says what does not.
    """
    found = _structure(state)
    if found is None:
        return None
    plain = without_instance_statistics(state)
    candidates = []
    for bias, norm in itertools.product(get_args(Bias), _norms(state, plain, found)):
        beside = {"norm": norm} if norm != "batch" else {}
        beside |= {"bias": bias} if bias != "port" else {}
        candidate = replace(found, spec=found.spec.having(**beside))
        with torch.device("meta"):
            network = create(
                found.kind,
                candidate.spec,
                source_channels=found.source_channels,
                target_channels=found.target_channels,
            )
        wrong = list(differences(plain, network, found.modules))
        if not wrong:
            return candidate
        candidates.append((len(wrong), replace(candidate, mismatch=wrong[0])))
    return min(candidates, key=lambda each: each[0])[1]


def without_instance_statistics(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict without running statistics that have no weight beside them.

    Torch's instance norm kept them until 0.4, and used them for nothing in the port.
    """

    def counts(name: str) -> bool:
        module, _, leaf = name.rpartition(".")
        return leaf not in STATISTICS or f"{module}.weight" in state

    return {name: tensor for name, tensor in state.items() if counts(name)}


def differences(
    state: Mapping[str, Tensor], network: nn.Module, modules: Mapping[str, str]
) -> Iterator[str]:
    """What keeps a state dict from fitting a network, in the network's order.

    modules: the state dict's names of modules -> the network's.
    """
    theirs = {ours: name for name, ours in modules.items()}
    expected: set[str] = set()
    for name, tensor in network.state_dict().items():
        module, _, leaf = name.rpartition(".")
        key = f"{theirs[module]}.{leaf}" if theirs.get(module) else name
        expected.add(key)
        if key not in state:
            if leaf != COUNTER:
                yield f"{key!r} ({shape_of(tensor)}) is missing"
        elif state[key].shape != tensor.shape:
            yield f"{key!r} is {shape_of(state[key])} and should be {shape_of(tensor)}"
    for key, tensor in state.items():
        if key not in expected:
            yield f"{key!r} ({shape_of(tensor)}) has no place in it"


def _norms(
    state: Mapping[str, Tensor], plain: Mapping[str, Tensor], found: Guess
) -> tuple[Norm, ...]:
    """The norms that can have left such tensors; instance norm and none may look alike."""
    if len(plain) < len(state):
        return ("instance",)
    norms = (module for module, ours in found.modules.items() if "norm" in ours.split(".")[-1])
    return ("batch",) if any(f"{m}.weight" in plain for m in norms) else ("instance", "none")


def _structure(state: Mapping[str, Tensor]) -> Guess | None:
    """Kind, size and channels; batch norm and the port's biases are taken for granted."""
    convolutions = {k.removesuffix(".weight"): x for k, x in state.items() if x.dim() == 4}
    if "model.model.0" in convolutions:
        return _unet(convolutions)
    if any(".conv_block." in name for name in convolutions) and "model.1" in convolutions:
        return _resnet(convolutions)
    root = "model" if "model.0" in convolutions else "net"
    if len(convolutions) > 2 and all(re.fullmatch(rf"{root}\.\d+", n) for n in convolutions):
        return _patchgan(convolutions, root)
    return None


def _unet(convolutions: Mapping[str, Tensor]) -> Guess | None:
    depth, block = 1, "model.model.1.model"
    while f"{block}.1" in convolutions:
        depth, block = depth + 1, f"{block}.3.model"
    first, last = convolutions["model.model.0"], convolutions.get("model.model.3")
    if depth < 2 or last is None:
        return None
    params = {"depth": depth} if depth != 8 else {}
    width, source_channels = first.shape[:2]
    params |= {"width": width} if width != 64 else {}
    return Guess(
        "generator", Spec("unet", params), unet_keys(depth), source_channels, last.shape[1]
    )


def _resnet(convolutions: Mapping[str, Tensor]) -> Guess:
    matches = [re.fullmatch(r"model\.(\d+)\.conv_block\.(\d+)", name) for name in convolutions]
    places = sorted({(int(m[1]), int(m[2])) for m in matches if m})
    first, blocks = places[0][0], len({block for block, _ in places})
    inner = sorted({place for _, place in places})  # of a block's two convolutions
    zero_padding = inner[0] == 0
    dropout = inner[-1] == (4 if zero_padding else 6)
    downsamplings = max(0, (first - 4) // 3)
    width, source_channels = convolutions["model.1"].shape[:2]
    ends = [int(m[1]) for n in convolutions if (m := re.fullmatch(r"model\.(\d+)", n))]
    params = {
        **({"blocks": blocks} if blocks != 9 else {}),
        **({"width": width} if width != 64 else {}),
        **({"downsamplings": downsamplings} if downsamplings != 2 else {}),
        **({"dropout": 0.5} if dropout else {}),
        **({"padding": "zero"} if zero_padding else {}),
    }
    modules = resnet_keys(blocks, downsamplings, dropout=dropout, zero_padding=zero_padding)
    target_channels = convolutions[f"model.{max(ends)}"].shape[0]
    return Guess("generator", Spec("resnet", params), modules, source_channels, target_channels)


def _patchgan(convolutions: Mapping[str, Tensor], root: str) -> Guess | None:
    """Source and target are seen as one stack: three channels of it are taken for the target."""
    if f"{root}.0" not in convolutions:
        return None
    layers = len(convolutions) - 2 if root == "model" else 0
    width, channels = convolutions[f"{root}.0"].shape[:2]
    params = {
        **({"layers": layers} if layers != 3 else {}),
        **({"width": width} if width != 64 else {}),
        **({"conditional": False} if channels <= 3 else {}),
    }
    spec, modules = Spec("patchgan", params), patchgan_keys(layers)
    return Guess("discriminator", spec, modules, max(channels - 3, 1), min(channels, 3))
