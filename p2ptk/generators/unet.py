"""pix2pix's U-Net, on its own encoder or on any other."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from p2ptk.encoders.conv import ConvEncoder
from p2ptk.generators.decoder import Up, concatenate, features_at
from p2ptk.generators.output import Output, to_image
from p2ptk.generators.upsample import Upsample
from p2ptk.norms import Bias, Norm, conv_bias
from p2ptk.schema import Part
from p2ptk.specs import Spec


class UNet(nn.Module):
    """Encoder, decoder, and skips between features of one size (Isola et al. 2017, 6.1.1).

    N source_channels H W -> N target_channels H W, float32. H and W are multiples of
    `size_multiple`, the coarsest stride of the encoder: 2^depth for its own.

    depth: halvings of the size; 8 takes 256 pixels to one. Without effect where `encoder` is given.
    width: channels of the finest layer; they double at each level, up to 8 * width.
    norm: see `p2ptk.norms.norm_layer`.
    dropout: probability, in the ups that `dropout_at` names. Of all ups but the last four, "port"
        has it in each but the innermost; "paper" has it in the three innermost.
    upsample: see `p2ptk.generators.upsample.upsampler`.
    bias: see `p2ptk.norms.conv_bias`.
    output: "tanh" for [-1, 1], "linear" for unbounded values.
    encoder: a component to take the encoder's place; the decoder keeps its widths. What it returns
        is what is concatenated. It may keep the full size, and may skip sizes.
    """

    skips: ClassVar[bool] = True

    def __init__(
        self,
        *,
        source_channels: int,
        target_channels: int,
        depth: Annotated[int, Field(ge=2, le=16)] = 8,
        width: Annotated[int, Field(gt=0)] = 64,
        norm: Norm = "batch",
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5,
        dropout_at: Literal["port", "paper"] = "port",
        upsample: Upsample = "transpose",
        bias: Bias = "port",
        output: Output = "tanh",
        encoder: Annotated[Spec, Part("encoder")] | None = None,
    ) -> None:
        super().__init__()
        self.output = output
        self.bounded = output == "tanh"
        if encoder is None:
            pyramid: Any = ConvEncoder(
                source_channels=source_channels, depth=depth, width=width, norm=norm, bias=bias
            )
        else:
            from p2ptk.components import create

            pyramid = create("encoder", encoder, source_channels=source_channels)
        self.encoder: nn.Module = pyramid
        at = features_at(pyramid)
        self.size_multiple: int = max(at)

        # Each up doubles the size; the encoder's features of that size join its output.
        strides = [2**level for level in reversed(range(self.size_multiple.bit_length()))]
        self.joined = [at.get(stride, []) if self.skips else [] for stride in strides]
        self.joined[0] = at[self.size_multiple]
        joining = [sum(pyramid.channels[i] for i in joined) for joined in self.joined]
        made = [0] + [width * min(max(stride // 2, 1), 8) for stride in strides[1:]]
        last_up_is_output = not self.joined[-1]
        if last_up_is_output:
            made[-1] = target_channels
        self.made = made[1:]  # channels of each up

        ups = len(strides) - 1
        dropped = range(1, ups - 4) if dropout_at == "port" else range(min(3, ups - 1))
        self.up = nn.ModuleList()
        for number in range(ups):
            final = last_up_is_output and number == ups - 1
            self.up.append(
                Up(
                    joining[number] + made[number],
                    made[number + 1],
                    upsample=upsample,
                    norm="none" if final else norm,
                    bias=conv_bias(bias, norm, normed=not final, always=final),
                    dropout=dropout if number in dropped else 0.0,
                    inplace=number > 0,  # the first input is still the encoder's
                )
            )
        self.last: nn.Module | None = None
        if not last_up_is_output:
            with_bias = conv_bias(bias, norm, normed=False, always=True)
            self.last = nn.Conv2d(
                joining[-1] + made[-1], target_channels, 3, padding=1, bias=with_bias
            )

    def forward(self, source: Tensor) -> Tensor:
        features = self.encoder(source)
        bottom, *skips = [[features[i] for i in joined] for joined in self.joined]
        x = concatenate(bottom)
        for up, skip in zip(self.up, skips, strict=True):
            x = concatenate([*skip, up(x)])
        if self.last is not None:
            x = self.last(F.relu(x))
        return to_image(x, self.output)
