"""What timm's models give as features, found out without their weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import timm
import torch
from torch import Tensor, nn

from p2ptk import UserError
from p2ptk_timm.names import config
from p2ptk_timm.windows import pad_windows

# What makes models of one size take any, tried in turn.
ANY_SIZE: tuple[dict[str, Any], ...] = (
    {"dynamic_img_size": True, "dynamic_img_pad": True},
    {"dynamic_img_size": True},
    {"strict_img_size": False},
    {},
)

# What torch says where a model's code can't run without numbers: those are then given to it.
NUMBERS = ("meta", "unsupported scalarType")


@dataclass(frozen=True)
class Facts:
    """What is known of a model's features without its weights.

    channels, strides: of each. feeds: the names of the parameters that each is made from.
    exact: whether their sizes are those of the picture, divided by the strides.
    options: what timm builds it with, so that it takes pictures of any size.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    feeds: tuple[frozenset[str], ...]
    exact: bool
    options: Mapping[str, Any]

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
    failure: Exception | None = None
    for options in ANY_SIZE if config(model).fixed_input_size else ({},):
        for device in ("meta", "cpu"):
            try:
                # Whoever only looks at a model may have turned gradients off.
                with (
                    torch.inference_mode(False),
                    torch.enable_grad(),
                    torch.random.fork_rng(devices=[]),
                    torch.device(device),
                ):
                    return _tried(model, in_chans, levels, options, device)
            except Exception as error:
                # An option that the model does not know tells nothing of the model.
                failure = failure if isinstance(error, TypeError) and failure else error
                if not any(word in str(error) for word in NUMBERS):
                    break
    said = " ".join(str(failure).split()).partition(". ")[0][:160] or type(failure).__name__
    raise UserError(
        f"timm's {model} can't give features of pictures of any size ({said}): choose another "
        "model."
    ) from failure


def features_net(
    model: str,
    in_chans: int,
    levels: Sequence[int] | None,
    options: Mapping[str, Any],
    **more: Any,
) -> nn.Module:
    """timm's features of a model. Its forward gives a list of maps; see `channels_first`."""
    if levels is not None:
        more["out_indices"] = tuple(levels)
    net: nn.Module = timm.create_model(
        model, features_only=True, in_chans=in_chans, **options, **more
    )
    for module in net.modules():  # notes on weights, copied with each copy of the network
        vars(module).pop("pretrained_cfg", None)
        vars(module).pop("default_cfg", None)
    return pad_windows(net)


def channels_first(feature: Tensor, net: nn.Module) -> Tensor:
    """A feature as N C H W; some models keep N H W C."""
    layout: Any = getattr(net, "output_fmt", "NCHW")
    return feature.permute(0, 3, 1, 2) if getattr(layout, "value", layout) == "NHWC" else feature


def _tried(
    model: str,
    in_chans: int,
    levels: tuple[int, ...] | None,
    options: Mapping[str, Any],
    device: str,
) -> Facts:
    net = features_net(model, in_chans, levels, options).eval()
    strides = tuple(int(s) for s in net.feature_info.reduction())  # type: ignore[operator,union-attr]
    side = 4 * max(strides)
    features = net(torch.zeros(1, in_chans, side, 2 * side, device=device))
    features = [channels_first(f, net) for f in features]
    named = dict(net.named_parameters())
    feeds = []
    for feature in features:
        slopes = torch.autograd.grad(
            feature.sum(), list(named.values()), retain_graph=True, allow_unused=True
        )
        feeds.append(frozenset(n for n, g in zip(named, slopes, strict=True) if g is not None))
    sizes = [(f.shape[2] * s, f.shape[3] * s) for f, s in zip(features, strides, strict=True)]
    exact = all(size == (side, 2 * side) for size in sizes)
    return Facts(tuple(f.shape[1] for f in features), strides, tuple(feeds), exact, options)


def _check_levels(model: str, levels: tuple[int, ...]) -> None:
    with torch.device("meta"):
        info = features_net(model, 3, None, {}).feature_info
    strides = [int(each["reduction"]) for each in info.info]  # type: ignore[union-attr]
    if not levels or list(levels) != sorted({*levels}) or not {*levels} <= {*range(len(strides))}:
        raise UserError(
            f"levels {list(levels)} are none of timm's {model}: it has 0 to {len(strides) - 1}, at "
            f"strides {strides}; name some in rising order."
        )
