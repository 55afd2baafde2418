"""What p2ptk-timm provides: names and lazy targets, nothing else."""

from __future__ import annotations

from collections.abc import Iterable

from p2ptk import Component, hookimpl

P2PTK_API = 1


@hookimpl
def p2ptk_generators() -> Iterable[Component]:
    yield Component(
        "timm-unet",
        "p2ptk_timm.unet:timm_unet",
        "the U-Net on any timm encoder: short for unet:encoder=timm(...)",
    )


@hookimpl
def p2ptk_encoders() -> Iterable[Component]:
    yield Component("timm", "p2ptk_timm.encoder:TimmEncoder", "the features of any timm model")


@hookimpl
def p2ptk_discriminators() -> Iterable[Component]:
    yield Component(
        "projected",
        "p2ptk_timm.projected:Projected",
        "judges mixed features of a frozen timm model, at several scales",
        "Sauer et al., NeurIPS 2021, arXiv 2111.01007",
    )


@hookimpl
def p2ptk_losses() -> Iterable[Component]:
    yield Component(
        "perceptual",
        "p2ptk_timm.perceptual:PerceptualLoss",
        "distance of a timm model's features",
        "Johnson et al., ECCV 2016, arXiv 1603.08155",
    )
    yield Component(
        "contrastive-features",
        "p2ptk_timm.contrastive:ContrastiveFeaturesLoss",
        "tells each patch's own target from the target's other patches",
        "Andonian et al., ICCVW 2021, arXiv 2111.06934",
    )


@hookimpl
def p2ptk_metrics() -> Iterable[Component]:
    yield Component(
        "feature-distance",
        "p2ptk_timm.metrics:PairedDistance",
        "distance of a timm model's features, by the pair",
    )
    yield Component(
        "fd",
        "p2ptk_timm.metrics:frechet",
        "Frechet distance of two sets in a timm model's features",
        "Heusel et al., NeurIPS 2017, arXiv 1706.08500",
    )
