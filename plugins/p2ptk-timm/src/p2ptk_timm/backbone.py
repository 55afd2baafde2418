"""A timm model as a feature pyramid that takes p2ptk's images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from p2ptk import Unavailable, UserError, weights_follow
from p2ptk_timm.facts import channels_first, facts_of, features_net
from p2ptk_timm.frozen import freeze_norms
from p2ptk_timm.names import config
from p2ptk_timm.weights import load_into, read_weights


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
        make = _fetched if fetch else features_net
        self.net = make(model, in_chans, levels, facts.options)
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
        return [channels_first(f, self.net) for f in features]

    def train(self, mode: bool = True) -> Backbone:
        return super().train(mode and not self.locked)


def _fetched(
    model: str, in_chans: int, levels: Sequence[int] | None, options: Mapping[str, Any]
) -> nn.Module:
    """`features_net` with the hub's weights. Raises Unavailable where they can't be fetched."""
    if not config(model).has_weights:
        raise UserError(
            f"timm has no pretrained weights of {model}: name a model with some, give a file with "
            "weights=PATH, or train from scratch with pretrained=false."
        )
    try:
        return features_net(model, in_chans, levels, options, pretrained=True)
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
