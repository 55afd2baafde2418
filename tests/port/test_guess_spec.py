"""The spec that a state dict's tensors tell."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from p2ptk.components import create
from p2ptk.port.guess_spec import guess, without_instance_statistics
from p2ptk.port.keys import patchgan_keys, resnet_keys, unet_keys
from p2ptk.specs import Spec


def port(kind: str, spec: str, modules: dict[str, str], **channels: int) -> dict[str, Tensor]:
    """A network's state dict under the port's names."""
    given_ = {"source_channels": 3, "target_channels": 3, **channels}
    theirs = {ours: name for name, ours in modules.items()}
    state = create(kind, spec, **given_).state_dict()
    return {
        f"{theirs[name.rpartition('.')[0]]}.{name.rpartition('.')[2]}": tensor
        for name, tensor in state.items()
    }


def params(**given_: Any) -> str:
    return ",".join(f"{key}={value}" for key, value in given_.items())


norms = st.sampled_from(["batch", "instance", "none"])
channels = st.integers(1, 5)


@settings(max_examples=40, deadline=None)
@given(
    depth=st.integers(2, 8), width=st.integers(1, 6), norm=norms, source=channels, target=channels
)
def test_a_unet_of_the_port(depth: int, width: int, norm: str, source: int, target: int) -> None:
    spec = f"unet:{params(depth=depth, width=width, norm=norm)}"
    state = port(
        "generator", spec, unet_keys(depth), source_channels=source, target_channels=target
    )
    found = guess(state)
    assert found is not None
    assert (found.kind, found.mismatch) == ("generator", "")
    assert (found.source_channels, found.target_channels) == (source, target)
    defaults = {"depth": 8, "width": 64, "norm": "batch"}
    assert {**defaults, **found.spec.params} == {"depth": depth, "width": width, "norm": norm}


@settings(max_examples=40, deadline=None)
@given(
    blocks=st.integers(1, 9),
    width=st.integers(1, 6),
    downsamplings=st.integers(1, 3),
    norm=norms,
    dropout=st.booleans(),
    padding=st.sampled_from(["reflect", "zero"]),
    target=channels,
)
def test_a_resnet_of_the_port(
    blocks: int, downsamplings: int, dropout: bool, padding: str, target: int, **rest: Any
) -> None:
    spec = f"resnet:{params(blocks=blocks, downsamplings=downsamplings, padding=padding, **rest)}"
    zero = padding == "zero"
    modules = resnet_keys(blocks, downsamplings, dropout=dropout, zero_padding=zero)
    found = guess(port("generator", spec, modules, target_channels=target))
    assert found is not None
    assert found.mismatch == ""
    assert found.modules == modules
    assert found.target_channels == target
    defaults = {"blocks": 9, "width": 64, "norm": "batch", "downsamplings": 2, "dropout": 0.0}
    assert {**defaults, "padding": "reflect", **found.spec.params} == {
        "blocks": blocks,
        "downsamplings": downsamplings,
        "dropout": 0.5 if dropout else 0.0,
        "padding": padding,
        **rest,
    }


@pytest.mark.parametrize("layers", [0, 1, 2, 3, 5])
@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize(("source", "target"), [(3, 3), (1, 3), (6, 3)])
def test_a_patchgan_of_the_port(layers: int, norm: str, source: int, target: int) -> None:
    spec = f"patchgan:{params(layers=layers, width=2, norm=norm)}"
    modules = patchgan_keys(layers)
    state = port("discriminator", spec, modules, source_channels=source, target_channels=target)
    found = guess(state)
    assert found is not None
    assert (found.kind, found.mismatch, found.modules) == ("discriminator", "", modules)
    assert (found.source_channels, found.target_channels) == (source, target)
    assert {"layers": 3, "norm": "batch", **found.spec.params} == {
        "layers": layers,
        "norm": norm,
        "width": 2,
    }


@pytest.mark.parametrize("bias", ["no-norm", "all", "none"])
def test_other_biases_than_the_ports(bias: str) -> None:
    state = port("generator", f"unet:depth=4,width=2,bias={bias}", unet_keys(4))
    found = guess(state)
    assert found is not None
    assert found.spec == Spec("unet", {"depth": 4, "width": 2, "bias": bias})


def test_an_image_judged_alone() -> None:
    state = port("discriminator", "patchgan:width=2,conditional=false", patchgan_keys())
    found = guess(state)
    assert found is not None
    assert found.spec.params["conditional"] is False
    assert found.mismatch == ""


def test_old_statistics_of_instance_norm_count_for_nothing() -> None:
    state = port("generator", "unet:depth=4,width=2,norm=instance", unet_keys(4))
    batch = port("generator", "unet:depth=4,width=2", unet_keys(4))
    old = {k: v for k, v in batch.items() if "running" in k or "num_batches" in k}
    assert old
    assert without_instance_statistics({**state, **old}).keys() == state.keys()
    assert without_instance_statistics(batch).keys() == batch.keys()
    found = guess({**state, **old})
    assert found is not None
    assert found.spec.params["norm"] == "instance"
    assert found.mismatch == ""


def test_batch_norm_of_before_its_counter() -> None:
    state = port("generator", "unet:depth=4,width=2", unet_keys(4))
    found = guess({k: v for k, v in state.items() if not k.endswith("num_batches_tracked")})
    assert found is not None
    assert found.mismatch == ""


def test_the_first_mismatch_is_named() -> None:
    state = port("generator", "unet:depth=4,width=2", unet_keys(4))
    wrong = {**state, "model.model.1.model.1.weight": torch.zeros(4, 2, 3, 3)}
    found = guess(wrong)
    assert found is not None
    assert found.mismatch == "'model.model.1.model.1.weight' is 4x2x3x3 and should be 4x2x4x4"
    del wrong["model.model.1.model.1.weight"]
    found = guess(state | {"model.model.9.weight": torch.zeros(2)})
    assert found is not None
    assert found.mismatch == "'model.model.9.weight' (2) has no place in it"


@pytest.mark.parametrize(
    "names", [[], ["weight"], ["initial_down.0.weight", "down1.conv.0.weight"], ["model.0.weight"]]
)
def test_strange_names_are_no_guess(names: list[str]) -> None:
    assert guess({name: torch.zeros(2, 2, 4, 4) for name in names}) is None
