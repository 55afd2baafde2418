"""What p2ptk-aurora provides: names, and where the code is.

A target is written as text, so that listing components imports neither torch nor the code itself.
"""

from __future__ import annotations

from collections.abc import Iterable

from p2ptk import Component, hookimpl

P2PTK_API = 1  # the plugin contract that this was written for


@hookimpl
def p2ptk_generators() -> Iterable[Component]:
    yield Component(
        name="aurora",
        target="p2ptk_aurora.net:AuroraGenerator",
        summary="residual blocks at a quarter of the size",
    )


@hookimpl
def p2ptk_encoders() -> Iterable[Component]:
    yield Component(
        name="aurora",
        target="p2ptk_aurora.encoder:AuroraEncoder",
        summary="strided convolutions, normalised",
    )


@hookimpl
def p2ptk_discriminators() -> Iterable[Component]:
    yield Component(
        name="aurora",
        target="p2ptk_aurora.discriminator:AuroraDiscriminator",
        summary="judges patches of 46 pixels",
    )


@hookimpl
def p2ptk_losses() -> Iterable[Component]:
    yield Component(
        name="aurora",
        target="p2ptk_aurora.loss:AuroraLoss",
        summary="mean absolute difference at several scales",
    )


@hookimpl
def p2ptk_datasets() -> Iterable[Component]:
    yield Component(
        name="aurora",
        target="p2ptk_aurora.data:AuroraPairs",
        summary="pairs of arrays in .npz files",
    )


@hookimpl
def p2ptk_augmentations() -> Iterable[Component]:
    yield Component(
        name="aurora",
        target="p2ptk_aurora.augmentation:AuroraTurn",
        summary="half a turn, for pictures without a top",
    )


@hookimpl
def p2ptk_metrics() -> Iterable[Component]:
    yield Component(
        name="aurora",
        target="p2ptk_aurora.metric:AuroraMetric",
        summary="root mean squared difference",
    )


@hookimpl
def p2ptk_launchers() -> Iterable[Component]:
    yield Component(
        name="aurora",
        target="p2ptk_aurora.launcher:AuroraLauncher",
        summary="jobs in processes of this machine",
    )


@hookimpl
def p2ptk_trackers() -> Iterable[Component]:
    yield Component(
        name="aurora",
        target="p2ptk_aurora.tracker:AuroraTracker",
        summary="a CSV file in the run folder",
    )


@hookimpl
def p2ptk_recipes() -> Iterable[Component]:
    yield Component(
        name="aurora",
        target="p2ptk_aurora:recipes/aurora.toml",
        summary="a small U-Net with a least-squares GAN",
    )


@hookimpl
def p2ptk_commands() -> Iterable[Component]:
    yield Component(
        name="aurora",
        target="p2ptk_aurora.command:main",
        summary="Count the weights of a model.",
    )
