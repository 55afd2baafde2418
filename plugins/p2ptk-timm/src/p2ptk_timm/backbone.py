"""A timm model as a feature pyramid that takes p2ptk's images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import timm
import torch
from torch import Tensor, nn

from p2ptk import Unavailable, UserError, weights_follow
from p2ptk_timm.frozen import freeze_norms
from p2ptk_timm.names import config
from p2ptk_timm.weights import load_into, read_weights
from p2ptk_timm.windows import pad_windows

# What makes models of one size take any, the first that a model understands.
ANY_SIZE: tuple[dict[str, Any], ...] = (
    {"dynamic_img_size": True, "dynamic_img_pad": True},
    {"dynamic_img_size": True},
    {"strict_img_size": False},
    {},
)


class Backbone(nn.Module):
    """N `in_chans` H W in [-1, 1] -> features N C h w, fine to coarse.

    channels, strides: of the features. exact: whether their sizes are those of the image, divided
    by the strides, wherever that leaves nothing over.

    Colours are normalised as the model's pretrained weights want it; of one channel by the mean
    over colours, of n channel i as colour i mod 3, which is how timm adapts the first convolution.

    levels: which of timm's features, by number, fine to coarse; None takes timm's own choice.
    pretrained: with the weights that timm's hub has for the model. weights: see `read_weights`;
        they take the place of the hub's. Neither is asked for while `p2ptk.weights_follow()`.
    freeze: True: nothing trains, and all of it stays in eval mode. A number: what the first so many
        features are made from does not train, and its batch norm keeps its statistics.

    All of it keeps the weights that timm or a file gave it (`keep_init`). Raises UserError for a
    model, levels or weights that are not there, Unavailable where the hub can't be reached.
    """

    keep_init: ClassVar[bool] = True
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: str,
        *,
        in_chans: int = 3,
        levels: Sequence[int] | None = None,
        pretrained: bool = False,
        weights: str | None = None,
        freeze: bool | int = False,
    ) -> None:
        super().__init__()
        facts = facts_of(model, in_chans, None if levels is None else tuple(levels))
        self.model, self.exact = model, facts.exact
        self.channels, self.strides = facts.channels, facts.strides
        fetch = pretrained and weights is None and not weights_follow()
        self.net = _fetched(model, in_chans, levels) if fetch else _net(model, in_chans, levels)
        if weights is not None and not weights_follow():
            load_into(self.net, read_weights(weights, model), model)

        # What no feature is made from would never get a gradient.
        still = facts.parameters_of(len(facts.feeds) if freeze is True else int(freeze))
        for name, parameter in self.net.named_parameters():
            parameter.requires_grad_(name in facts.used and name not in still)
        freeze_norms(self.net)
        self.locked = freeze is True
        mean, std = _colours(config(model), in_chans)
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.train(self.training)

    def forward(self, image: Tensor) -> list[Tensor]:
        x = (image - self.mean) / self.std
        try:
            features = self.net(x)
        except torch.OutOfMemoryError:
            raise
        except (AssertionError, ValueError, RuntimeError) as error:
            too_small = min(x.shape[-2:]) < 4 * self.strides[-1]
            if isinstance(error, RuntimeError) and not too_small:
                raise
            said = " ".join(str(error).split()).partition(".")[0]
            count, (height, width) = len(x), x.shape[-2:]
            raise UserError(
                f"timm's {self.model} can't take a batch of {count} of {height}x{width} pixels "
                f"({said}): take larger pictures, or more at a time."
            ) from error
        return [_channels_first(f, self.net) for f in features]

    def train(self, mode: bool = True) -> Backbone:
        return super().train(mode and not self.locked)


@dataclass(frozen=True)
class Facts:
    """What is known of a model's features without its weights.

    channels, strides: of each. feeds: the names of the parameters that each is made from.
    exact: whether their sizes are those of the picture, divided by the strides.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    feeds: tuple[frozenset[str], ...]
    exact: bool

    @property
    def used(self) -> frozenset[str]:
        return self.parameters_of(len(self.feeds))

    def parameters_of(self, features: int) -> frozenset[str]:
        """What the first `features` features are made from."""
        return frozenset().union(*self.feeds[:features])


@lru_cache(maxsize=128)
def facts_of(model: str, in_chans: int, levels: tuple[int, ...] | None) -> Facts:
    """Try a model on torch's meta device, which computes shapes and graphs, but no numbers.

    Raises UserError for a model that takes only one size, and for levels that it does not have.
    """
    if levels is not None:
        _check_levels(model, levels)
    try:
        with torch.device("meta"):
            return _tried(_net(model, in_chans, levels), in_chans, "meta")
    except Exception as error:
        if "meta" not in str(error):
            raise _unusable(model, error) from error
    try:  # its code looks at numbers, which only a real one has
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            return _tried(_net(model, in_chans, levels), in_chans, "cpu")
    except Exception as error:
        raise _unusable(model, error) from error


def _unusable(model: str, error: Exception) -> UserError:
    said = " ".join(str(error).split()).partition(". ")[0][:160] or type(error).__name__
    return UserError(
        f"timm's {model} can't give features of pictures of any size ({said}): choose another "
        "model."
    )


def _tried(net: nn.Module, in_chans: int, device: str) -> Facts:
    strides = tuple(int(s) for s in net.feature_info.reduction())  # type: ignore[operator,union-attr]
    side = 4 * max(strides)
    net = net.eval().requires_grad_(True)
    features = net(torch.zeros(1, in_chans, side, 2 * side, device=device))
    features = [_channels_first(f, net) for f in features]
    named = dict(net.named_parameters())
    feeds = []
    for feature in features:
        slopes = torch.autograd.grad(
            feature.sum(), list(named.values()), retain_graph=True, allow_unused=True
        )
        feeds.append(frozenset(n for n, g in zip(named, slopes, strict=True) if g is not None))
    sizes = [(f.shape[2] * s, f.shape[3] * s) for f, s in zip(features, strides, strict=True)]
    exact = all(size == (side, 2 * side) for size in sizes)
    return Facts(tuple(f.shape[1] for f in features), strides, tuple(feeds), exact)


def _check_levels(model: str, levels: tuple[int, ...]) -> None:
    with torch.device("meta"):
        info = _net(model, 3, None).feature_info
    strides = [int(each["reduction"]) for each in info.info]  # type: ignore[union-attr]
    if not levels or list(levels) != sorted({*levels}) or not {*levels} <= {*range(len(strides))}:
        raise UserError(
            f"levels {list(levels)} are none of timm's {model}: it has 0 to {len(strides) - 1}, at "
            f"strides {strides}; name some in rising order."
        )


def _net(model: str, in_chans: int, levels: Sequence[int] | None, **more: Any) -> nn.Module:
    """timm's features of a model, for any picture size where it knows how."""
    chosen: dict[str, Any] = {} if levels is None else {"out_indices": tuple(levels)}
    for options in ANY_SIZE if config(model).fixed_input_size else ({},):
        try:
            net: nn.Module = timm.create_model(
                model, features_only=True, in_chans=in_chans, **chosen, **options, **more
            )
        except TypeError:
            if not options:
                raise
            continue
        break
    for module in net.modules():  # notes on weights, copied with each copy of the network
        vars(module).pop("pretrained_cfg", None)
        vars(module).pop("default_cfg", None)
    return pad_windows(net)


def _fetched(model: str, in_chans: int, levels: Sequence[int] | None) -> nn.Module:
    """`_net` with the weights of timm's hub. Raises Unavailable where they can't be fetched."""
    if not config(model).has_weights:
        raise UserError(
            f"timm has no pretrained weights of {model}: name a model with some, give a file with "
            "weights=PATH, or train from scratch with pretrained=false."
        )
    try:
        return _net(model, in_chans, levels, pretrained=True)
    except UserError:
        raise
    except Exception as error:  # of sockets, proxies, the hub, the disk
        said = " ".join(str(error).split()).partition(". ")[0][:200]
        raise Unavailable(
            f"the weights of timm's {model} can't be fetched ({type(error).__name__}: {said}): "
            "connect to the network once, or give a file with weights=PATH, or train from scratch "
            "with pretrained=false."
        ) from error


def _colours(cfg: Any, channels: int) -> tuple[Tensor, Tensor]:
    """Mean and deviation that images in [-1, 1] are normalised by, each 1 `channels` 1 1."""

    def each(values: Sequence[float], to_range: Callable[[Tensor], Tensor]) -> Tensor:
        x = to_range(torch.tensor(values, dtype=torch.float32))
        x = x.mean()[None] if channels == 1 else x[[i % len(x) for i in range(channels)]]
        return x[None, :, None, None]

    return each(cfg.mean, lambda x: 2 * x - 1), each(cfg.std, lambda x: 2 * x)


def _channels_first(feature: Tensor, net: nn.Module) -> Tensor:
    """A feature as N C H W; some models keep N H W C."""
    return feature.permute(0, 3, 1, 2) if _layout(net) == "NHWC" else feature


def _layout(net: nn.Module) -> str:
    layout: Any = getattr(net, "output_fmt", "NCHW")
    return str(getattr(layout, "value", layout))
