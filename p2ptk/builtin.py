"""The built-in plugin: names and lazy targets, nothing else."""

from __future__ import annotations

from collections.abc import Iterable

from p2ptk.components import Component
from p2ptk.hooks import hookimpl

P2PTK_API = 1

PIX2PIX = "Isola et al., CVPR 2017, arXiv 1611.07004"
PIX2PIXHD = "Wang et al., CVPR 2018, arXiv 1711.11585"
CONVERGE = "Mescheder et al., ICML 2018, arXiv 1801.04406"
WGAN_GP = "Gulrajani et al., NeurIPS 2017, arXiv 1704.00028"


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
    yield Component(
        "pix2pixhd",
        "p2ptk.generators.pix2pixhd:Pix2PixHD",
        "pix2pixHD's global generator: residual blocks at a sixteenth",
        PIX2PIXHD,
    )
    yield Component(
        "spade",
        "p2ptk.generators.spade:SPADE",
        "for label maps: modulated by the source at every norm",
        "Park et al., CVPR 2019, arXiv 1903.07291",
    )
    yield Component(
        "unet-attention",
        "p2ptk.generators.unet_attention:UNetAttention",
        "the U-Net with self-attention where its maps are small",
        "Zhang et al., ICML 2019, arXiv 1805.08318",
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
    yield Component(
        "multiscale",
        "p2ptk.discriminators.multiscale:Multiscale",
        "a PatchGAN a scale",
        PIX2PIXHD,
    )
    yield Component(
        "unet",
        "p2ptk.discriminators.unet:UNetDiscriminator",
        "judges every pixel, and the whole beside it",
        "Schönfeld et al., CVPR 2020, arXiv 2002.12655",
    )


@hookimpl
def p2ptk_losses() -> Iterable[Component]:
    yield Component(
        "gan",
        "p2ptk.losses.gan:GANLoss",
        "adversarial: vanilla, lsgan, hinge, wgan or rpgan",
        "Goodfellow et al., NeurIPS 2014, arXiv 1406.2661",
    )
    yield Component("l1", "p2ptk.losses.l1:L1Loss", "mean absolute difference", PIX2PIX)
    yield Component("l2", "p2ptk.losses.l2:L2Loss", "mean squared difference")
    yield Component(
        "cross-entropy",
        "p2ptk.losses.cross_entropy:CrossEntropyLoss",
        "for label maps: the right class, pixel by pixel",
    )
    yield Component(
        "charbonnier",
        "p2ptk.losses.charbonnier:CharbonnierLoss",
        "a smooth L1",
        "Charbonnier et al., ICIP 1994",
    )
    yield Component(
        "feature-matching",
        "p2ptk.losses.feature_matching:FeatureMatchingLoss",
        "L1 between the discriminator's features",
        PIX2PIXHD,
    )
    yield Component(
        "ms-ssim",
        "p2ptk.losses.ms_ssim:MSSSIMLoss",
        "1 - structural similarity at several scales",
        "Wang et al., Asilomar 2003",
    )
    yield Component(
        "total-variation",
        "p2ptk.losses.total_variation:TotalVariationLoss",
        "differences between neighbouring pixels",
        "Rudin et al., Physica D 1992",
    )
    yield Component("r1", "p2ptk.losses.r1:R1Loss", "D's slope at real images", CONVERGE)
    yield Component("r2", "p2ptk.losses.r1:R2Loss", "D's slope at translations", CONVERGE)
    yield Component(
        "gradient-penalty",
        "p2ptk.losses.gradient_penalty:GradientPenaltyLoss",
        "D's slope between the two, kept at 1: WGAN-GP",
        WGAN_GP,
    )


@hookimpl
def p2ptk_datasets() -> Iterable[Component]:
    yield Component("side-by-side", "p2ptk.datasets.side_by_side:SideBySide", "A|B in one image")
    yield Component(
        "two-folders", "p2ptk.datasets.two_folders:TwoFolders", "A and B in folders, by stem"
    )
    yield Component("list", "p2ptk.datasets.list:ListFile", "a CSV or JSONL of path pairs")
    yield Component("photos", "p2ptk.datasets.photos:Photos", "single pictures: -A makes sources")
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
    yield Component(
        "ms-ssim",
        "p2ptk.metrics.ms_ssim:MSSSIM",
        "structural similarity at 5 scales",
        "Wang et al., Asilomar 2003",
    )
    yield Component(
        "lpips",
        "p2ptk.metrics.lpips:LPIPS",
        "learned perceptual distance",
        "Zhang et al., CVPR 2018, arXiv 1801.03924",
    )
    yield Component(
        "fid",
        "p2ptk.metrics.inception:fid",
        "Frechet inception distance; with KID under 2,000 images",
        "Heusel et al., NeurIPS 2017, arXiv 1706.08500",
    )
    yield Component(
        "kid",
        "p2ptk.metrics.inception:kid",
        "kernel inception distance, unbiased",
        "Bińkowski et al., ICLR 2018, arXiv 1801.01401",
    )
    yield Component(
        "precision-recall",
        "p2ptk.metrics.inception:precision_recall",
        "fidelity and coverage, on Inception's features",
        "Kynkäänniemi et al., NeurIPS 2019, arXiv 1904.06991",
    )
    yield Component(
        "fcn-score",
        "p2ptk.metrics.fcn_score:FCNScore",
        "labels to photo: does a segmenter find the labels again?",
        PIX2PIX,
    )
    yield Component(
        "palette-accuracy",
        "p2ptk.metrics.palette_accuracy:PaletteAccuracy",
        "photo to labels or maps: the right colour, pixel by pixel",
    )
    yield Component(
        "diversity",
        "p2ptk.metrics.diversity:Diversity",
        "how much translations of one source differ",
    )


@hookimpl
def p2ptk_launchers() -> Iterable[Component]:
    yield Component("local", "p2ptk.launchers.local:Local", "jobs on this machine, one a GPU")
    yield Component(
        "subprocess-list",
        "p2ptk.launchers.subprocess_list:SubprocessList",
        "a file of shell commands, for a queue to run",
    )
    yield Component(
        "submitit",
        "p2ptk.launchers.submitit:Submitit",
        "jobs on a Slurm cluster, queued again when interrupted",
    )


@hookimpl
def p2ptk_trackers() -> Iterable[Component]:
    yield Component(
        "tensorboard",
        "p2ptk.trackers.tensorboard:TensorBoard",
        "scalars and sample sheets for TensorBoard",
    )
    yield Component("jsonl", "p2ptk.trackers.jsonl:JsonLines", "a copy of the log in another place")


@hookimpl
def p2ptk_recipes() -> Iterable[Component]:
    yield Component(
        "pix2pix", "p2ptk:recipes/pix2pix.toml", "as the field's PyTorch port does", PIX2PIX
    )
    yield Component(
        "pix2pix-paper", "p2ptk:recipes/pix2pix-paper.toml", "as the paper's code does", PIX2PIX
    )
    yield Component(
        "sharp", "p2ptk:recipes/sharp.toml", "a relativistic GAN with R1, averaged weights"
    )
    yield Component(
        "wgan-gp", "p2ptk:recipes/wgan-gp.toml", "a Wasserstein critic with its penalty", WGAN_GP
    )
    yield Component("quick", "p2ptk:recipes/quick.toml", "a small, fast model for CPUs")
    yield Component(
        "scorer", "p2ptk:recipes/scorer.toml", "a segmenter of real photos, for fcn-score"
    )
    yield Component("demo", "p2ptk:recipes/demo.toml", "the embedded demo, minutes on 2 cores")
