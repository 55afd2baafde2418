"""Learned perceptual distance, by the reference implementation."""

from __future__ import annotations

import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from p2ptk.errors import UserError
from p2ptk.metrics.colours import three_channels
from p2ptk.metrics.per_image import PerImage
from p2ptk.metrics.pretrained import load_into, missing_extra, read_weights, weights_file

Net = Literal["alex", "vgg", "squeeze"]
SMALLEST = 32


class LPIPS(PerImage):
    """`lpips-alex`: Zhang et al. 2018, version 0.1 of the package `lpips`; mean over images.

    Images in [-1, 1] at their own size, not rounded to 8 bits; grey is repeated in 3 channels.

    net: the backbone: "alex" is the authors' choice for scores, "vgg" common as a loss.
    weights: the backbone's ImageNet weights as torchvision publishes them, .pth or .safetensors;
        without it they are fetched into torch hub's folder. The linear weights are the package's.
    """

    higher_is_better: ClassVar[bool] = False

    def __init__(self, *, net: Net = "alex", weights: Path | None = None) -> None:
        super().__init__()
        self.name = f"lpips-{net}"
        self.distance = perceptual(net, weights, "lpips" if net == "alex" else f"lpips:net={net}")

    def update(self, fake: Tensor, target: Tensor, source: Tensor) -> None:
        """fake, target: N C H W in [-1, 1], C 1 or 3, at least 32 pixels a side.

        Raises UserError for other images.
        """
        self.add(self.name, self.distance(fake, target))


class Perceptual:
    """The distance of images N C H W in [-1, 1], pair by pair: N numbers, float32."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    @torch.no_grad()
    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        if min(x.shape[-2:]) < SMALLEST:
            raise UserError(
                f"lpips needs images of at least {SMALLEST} pixels a side, and these have "
                f"{x.shape[-2]}x{x.shape[-1]}."
            )
        self.network.to(x.device)
        result: Tensor = self.network(three_channels(x, "lpips"), three_channels(y, "lpips"))
        return result.flatten()


def perceptual(net: Net, weights: Path | None, metric: str) -> Perceptual:
    """The reference network. Raises Unavailable where the package or the weights are missing."""
    try:
        import lpips  # noqa: F401
        from torchvision import models
    except ImportError as error:
        raise missing_extra("lpips", "lpips") from error
    published = {
        "alex": models.AlexNet_Weights.IMAGENET1K_V1,
        "vgg": models.VGG16_Weights.IMAGENET1K_V1,
        "squeeze": models.SqueezeNet1_1_Weights.IMAGENET1K_V1,
    }
    return _network(net, weights_file(published[net].url, weights, metric).resolve())


@lru_cache(maxsize=2)
def _network(net: Net, path: Path) -> Perceptual:
    import lpips

    # It draws random weights first, and torchvision warns of the way it is called.
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network: Any = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    tensors = read_weights(path)
    # Its slices keep torchvision's numbers: slice3.6.weight is features.6.weight.
    named = {name: f"features.{name.partition('.')[2]}" for name in network.net.state_dict()}
    load_into(network.net, {k: tensors[v] for k, v in named.items() if v in tensors}, path)
    return Perceptual(network.eval().requires_grad_(False))
