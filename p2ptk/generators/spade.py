"""A generator that is told the label map at every normalisation."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from p2ptk.generators.output import Output, to_image
from p2ptk.norms import InstanceNorm, Norm
from p2ptk.spectral import convolution


class SPADE(nn.Module):
    """Residual blocks that grow from a small map, modulated by the source (Park et al. 2019).

    The generator of arXiv 1903.07291, section 3 and appendix A, without the image encoder: it
    begins from the source at 1 / 2^depth of its size. The source is meant to be a label map, one
    channel a class; any image will do. It is resized by nearest neighbours, as the activations
    are, which leaves no checkerboard. N source_channels H W -> N target_channels H W, float32. H
    and W are multiples of `size_multiple` = 2^depth.

    depth: doublings; 5 is the paper's for 256 pixels.
    width: channels at full size; doubled at each halving, up to 16 * width. At 64, and 36 channels
        of Cityscapes' labels, it has 93.0 million parameters.
    hidden: channels between the source and its scales and shifts.
    norm: without parameters of its own, before the modulation: "batch", synchronised among GPUs in
        the paper, "instance" or "none".
    spectral: spectral norm on the blocks' convolutions, as in the paper.
    output: "tanh" for [-1, 1], "linear" for unbounded values.
    """

    def __init__(
        self,
        *,
        source_channels: int,
        target_channels: int,
        depth: Annotated[int, Field(ge=1)] = 5,
        width: Annotated[int, Field(gt=0)] = 64,
        hidden: Annotated[int, Field(gt=0)] = 128,
        norm: Norm = "batch",
        spectral: bool = True,
        output: Output = "tanh",
    ) -> None:
        super().__init__()
        self.output = output
        self.bounded = output == "tanh"
        self.size_multiple = 2**depth
        # Three blocks as wide as the widest, a doubling after the first; then one a doubling.
        after = [width * min(2**level, 16) for level in reversed(range(depth - 1))]
        widest = width * min(2 ** (depth - 1), 16)
        widths = [widest] * 4 + after
        self.first = nn.Conv2d(source_channels, widest, 3, padding=1)
        self.blocks = nn.ModuleList(
            SPADEBlock(
                inputs, outputs, source=source_channels, hidden=hidden, norm=norm, spectral=spectral
            )
            for inputs, outputs in pairwise(widths)
        )
        self.last = nn.Conv2d(widths[-1], target_channels, 3, padding=1)

    def forward(self, source: Tensor) -> Tensor:
        height, width = source.shape[-2:]
        small = (height // self.size_multiple, width // self.size_multiple)
        x = self.first(F.interpolate(source, size=small, mode="nearest"))
        for number, block in enumerate(self.blocks):
            if number not in (0, 2):
                x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = block(x, source)
        return to_image(self.last(F.leaky_relu(x, 0.2)), self.output)


class SPADEBlock(nn.Module):
    """x plus two convolutions of it, each after modulation and LeakyReLU (Park et al. 2019, Fig. 4)

    Where the channels change, x passes a modulation and a 1x1 convolution.
    """

    def __init__(
        self, inputs: int, outputs: int, *, source: int, hidden: int, norm: Norm, spectral: bool
    ) -> None:
        super().__init__()
        conv2d = convolution(spectral)
        middle = min(inputs, outputs)
        self.modulate1 = Modulation(inputs, source=source, hidden=hidden, norm=norm)
        self.conv1 = conv2d(inputs, middle, 3, padding=1)
        self.modulate2 = Modulation(middle, source=source, hidden=hidden, norm=norm)
        self.conv2 = conv2d(middle, outputs, 3, padding=1)
        self.modulate_skip: Modulation | None = None
        if inputs != outputs:
            self.modulate_skip = Modulation(inputs, source=source, hidden=hidden, norm=norm)
            self.conv_skip = conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor, source: Tensor) -> Tensor:
        h = self.conv1(F.leaky_relu(self.modulate1(x, source), 0.2))
        h = self.conv2(F.leaky_relu(self.modulate2(h, source), 0.2))
        if self.modulate_skip is not None:
            x = self.conv_skip(self.modulate_skip(x, source))
        return x + h


class Modulation(nn.Module):
    """norm(x) * (1 + gamma(source)) + beta(source) at every place (Park et al. 2019, eq. 1)."""

    def __init__(self, channels: int, *, source: int, hidden: int, norm: Norm) -> None:
        super().__init__()
        self.norm = _plain_norm(norm, channels)
        self.shared = nn.Conv2d(source, hidden, 3, padding=1)
        self.gamma = nn.Conv2d(hidden, channels, 3, padding=1)
        self.beta = nn.Conv2d(hidden, channels, 3, padding=1)

    def forward(self, x: Tensor, source: Tensor) -> Tensor:
        h = F.relu(self.shared(F.interpolate(source, size=x.shape[-2:], mode="nearest")))
        # One value a channel has no variance: it stays as it is, as under instance norm.
        alone = self.training and x.shape[0] * x.shape[2] * x.shape[3] == 1
        normed = x if alone else self.norm(x)
        return normed * (1 + self.gamma(h)) + self.beta(h)


def _plain_norm(norm: Norm, channels: int) -> nn.Module:
    """The norm without scale and shift."""
    match norm:
        case "batch":
            return nn.BatchNorm2d(channels, affine=False)
        case "instance":
            return InstanceNorm()
        case "none":
            return nn.Identity()
