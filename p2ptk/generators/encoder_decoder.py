"""The U-Net without its skips: the paper's comparison."""

from __future__ import annotations

from typing import ClassVar

from p2ptk.generators.unet import UNet


class EncoderDecoder(UNet):
    """Encoder and decoder that meet at the bottleneck only (Isola et al. 2017, 6.1.1, Table 2).

    Parameters, shapes and encoders are the U-Net's, so that the two differ in the skips alone; with
    `dropout_at="paper"` the decoder is CD512-CD512-CD512-C512-C256-C128-C64.
    """

    skips: ClassVar[bool] = False
