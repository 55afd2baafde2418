"""The built-in plugin: names and lazy targets, nothing else."""

from __future__ import annotations

from collections.abc import Iterable

from p2ptk.components import Component
from p2ptk.hooks import hookimpl

P2PTK_API = 1

PIX2PIX = "Isola et al., CVPR 2017, arXiv 1611.07004"


@hookimpl
def p2ptk_generators() -> Iterable[Component]:
    yield Component("unet", "p2ptk.generators.unet:UNet", "encoder and decoder with skips", PIX2PIX)
    yield Component(
        "encoder-decoder",
        "p2ptk.generators.encoder_decoder:EncoderDecoder",
        "the U-Net without its skips",
        PIX2PIX,
    )
    yield Component(
        "resnet",
        "p2ptk.generators.resnet:ResNet",
        "residual blocks at a quarter of the size",
        "Johnson et al., ECCV 2016, arXiv 1603.08155",
    )


@hookimpl
def p2ptk_encoders() -> Iterable[Component]:
    yield Component(
        "conv", "p2ptk.encoders.conv:ConvEncoder", "the pix2pix U-Net's own encoder", PIX2PIX
    )


@hookimpl
def p2ptk_discriminators() -> Iterable[Component]:
    yield Component(
        "patchgan",
        "p2ptk.discriminators.patchgan:PatchGAN",
        "judges patches: 1, 16, 34, 70, 142 or 286 pixels wide",
        PIX2PIX,
    )


@hookimpl
def p2ptk_losses() -> Iterable[Component]:
    yield Component(
        "gan",
        "p2ptk.losses.gan:GANLoss",
        "adversarial: vanilla, lsgan, hinge or wgan",
        "Goodfellow et al., NeurIPS 2014, arXiv 1406.2661",
    )
    yield Component("l1", "p2ptk.losses.l1:L1Loss", "mean absolute difference", PIX2PIX)
    yield Component("l2", "p2ptk.losses.l2:L2Loss", "mean squared difference")
    yield Component(
        "charbonnier",
        "p2ptk.losses.charbonnier:CharbonnierLoss",
        "a smooth L1",
        "Charbonnier et al., ICIP 1994",
    )


@hookimpl
def p2ptk_datasets() -> Iterable[Component]:
    yield Component("side-by-side", "p2ptk.datasets.side_by_side:SideBySide", "A|B in one image")
    yield Component(
        "two-folders", "p2ptk.datasets.two_folders:TwoFolders", "A and B in folders, by stem"
    )
    yield Component("list", "p2ptk.datasets.list:ListFile", "a CSV or JSONL of path pairs")
    yield Component(
        "demo", "p2ptk.datasets.demo:Demo", "59 embedded pairs: satellite and relief map"
    )


@hookimpl
def p2ptk_augmentations() -> Iterable[Component]:
    yield Component(
        "jitter",
        "p2ptk.augmentations.jitter:Jitter",
        "resize, random crop, mirror: the paper's",
        PIX2PIX,
    )


@hookimpl
def p2ptk_metrics() -> Iterable[Component]:
    yield Component("psnr", "p2ptk.metrics.psnr:PSNR", "peak signal to noise ratio, dB")
    yield Component(
        "ssim",
        "p2ptk.metrics.ssim:SSIM",
        "structural similarity",
        "Wang et al., IEEE TIP 2004",
    )
    yield Component("l1", "p2ptk.metrics.l1:L1", "mean absolute difference, of 0..1")


@hookimpl
def p2ptk_recipes() -> Iterable[Component]:
    yield Component(
        "pix2pix", "p2ptk:recipes/pix2pix.toml", "as the field's PyTorch port does", PIX2PIX
    )
    yield Component(
        "pix2pix-paper", "p2ptk:recipes/pix2pix-paper.toml", "as the paper's code does", PIX2PIX
    )
    yield Component("quick", "p2ptk:recipes/quick.toml", "a small, fast model for CPUs")
    yield Component("demo", "p2ptk:recipes/demo.toml", "the embedded demo, minutes on 2 cores")
