from __future__ import annotations

import inspect

import torch

from p2ptk.generators.encoder_decoder import EncoderDecoder
from p2ptk.generators.unet import UNet

RGB = {"source_channels": 3, "target_channels": 3}


def test_the_decoder_has_the_channels_of_the_paper() -> None:
    with torch.device("meta"):
        network = EncoderDecoder(**RGB, dropout_at="paper")
    shapes = [(up.conv.in_channels, up.conv.out_channels) for up in network.up]
    outputs = [512, 512, 512, 512, 256, 128, 64, 3]
    assert shapes == list(zip([512, *outputs[:-1]], outputs, strict=True))
    assert [getattr(up.dropout, "p", 0) for up in network.up] == [0.5] * 3 + [0] * 5


def test_it_differs_from_the_unet_in_the_skips_alone() -> None:
    assert inspect.signature(EncoderDecoder) == inspect.signature(UNet)
    torch.manual_seed(0)
    plain = EncoderDecoder(**RGB, depth=3, width=2, norm="none").eval()
    unet = UNet(**RGB, depth=3, width=2, norm="none").eval()
    assert plain.encoder.state_dict().keys() == unet.encoder.state_dict().keys()
    # With the weights of the skips at zero, a U-Net is an encoder-decoder.
    state = plain.state_dict()
    for name, parameter in unet.named_parameters():
        mine = state[name]
        if mine.shape != parameter.shape:
            mine = torch.cat([torch.zeros_like(mine), mine])  # the skip comes first
        parameter.data.copy_(mine)
    x = torch.randn(2, 3, 16, 24)
    torch.testing.assert_close(plain(x), unet(x))
