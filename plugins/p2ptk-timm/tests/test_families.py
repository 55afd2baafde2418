"""Encoders of every shape that timm has, in the U-Net."""

from __future__ import annotations

import pytest
import torch

from p2ptk import UserError, create

HALVING = (2, 4, 8, 16, 32)
FROM_FOUR = (4, 8, 16, 32)

# A small model of each family, and the strides of its features.
FAMILIES = {
    "resnet": ("resnet10t", HALVING),
    "resnext": ("resnext26ts", HALVING),
    "efficientnet": ("efficientnet_lite0", HALVING),
    "mobilenetv3": ("mobilenetv3_small_050", HALVING),
    "convnext": ("convnext_atto", FROM_FOUR),
    "regnet": ("regnetx_002", HALVING),
    "densenet": ("densenet121", HALVING),
    "vgg": ("vgg11", (1, *HALVING)),
    "swin": ("swin_tiny_patch4_window7_224", FROM_FOUR),  # N H W C, and made for one size
    "maxvit": ("maxvit_rmlp_pico_rw_256", HALVING),  # windows of 8, made for one size
    "maxvit, other windows": ("maxxvit_rmlp_nano_rw_256", HALVING),
    "tinyvit": ("tiny_vit_5m_224", FROM_FOUR),
    "efficientvit": ("efficientvit_b0", FROM_FOUR),
    "efficientvit, coarse": ("efficientvit_m0", (16, 32, 64)),
    "hrnet": ("hrnet_w18_small", HALVING),
    "fastvit": ("fastvit_t8", FROM_FOUR),
    "mobilenetv4": ("mobilenetv4_conv_small", HALVING),
    "vit": ("vit_tiny_patch16_224", (16, 16, 16)),  # by timm's own interface
}
SLOW = ("densenet", "swin", "maxvit, other windows", "fastvit")


@pytest.mark.parametrize(
    "family", [pytest.param(f, marks=[pytest.mark.slow] * (f in SLOW)) for f in FAMILIES]
)
def test_a_family_in_the_unet(family: str) -> None:
    model, strides = FAMILIES[family]
    torch.manual_seed(0)
    spec = f"unet:width=4,encoder=timm(model={model})"
    unet = create("generator", spec, source_channels=3, target_channels=2)
    assert unet.size_multiple == strides[-1]
    assert tuple(unet.encoder.strides) == strides

    height, width = 2 * strides[-1], 3 * strides[-1]
    source = torch.rand(2, 3, height, width) * 2 - 1
    features = unet.encoder(source)
    assert [x.shape[1] for x in features] == list(unet.encoder.channels)
    assert [x.shape[2:] for x in features] == [(height // s, width // s) for s in strides]
    assert all(0.2 < x.square().mean().sqrt() < 5 for x in features)  # of one size, about

    image = unet(source)
    assert image.shape == (2, 2, height, width)
    assert image.isfinite().all()
    image.square().mean().backward()
    without = [name for name, p in unet.named_parameters() if p.requires_grad and p.grad is None]
    assert not without


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("levit_128s", "can't give features of pictures of any size"),
        ("inception_v3", "cuts the borders of its maps"),
    ],
)
def test_models_that_a_decoder_can_not_use_are_refused(model: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        create("encoder", f"timm:model={model}", source_channels=3)


def test_strides_that_are_no_powers_of_two_are_refused() -> None:
    with pytest.raises(UserError, match=r"strides \[14, 14, 14\]: a decoder needs powers"):
        create(
            "generator",
            "timm-unet:model=eva02_tiny_patch14_224",
            source_channels=3,
            target_channels=3,
        )
