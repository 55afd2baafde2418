"""What a plugin can provide: one hook a kind of component.

A plugin is a module that the entry-point group `p2ptk` names. It holds hooks and nothing heavy:

    from p2ptk import Component, hookimpl

    P2PTK_API = 1

    @hookimpl
    def p2ptk_generators():
        yield Component(name="oasis", target="p2ptk_oasis.net:OasisGenerator",
                        summary="OASIS (Sushko 2021)")

`target` is written as text, so that listing components imports neither torch nor the plugin's code.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from p2ptk.components import Component

API = 1  # the contract of this release; a plugin may state the one it was written for

hookspec = pluggy.HookspecMarker("p2ptk")
hookimpl = pluggy.HookimplMarker("p2ptk")


@hookspec
def p2ptk_generators() -> Iterable[Component]:
    """Networks that map a source image to a target image.

    yield Component(name="oasis", target="my_pkg.net:Oasis", summary="OASIS (Sushko 2021)")
    """
    raise NotImplementedError


@hookspec
def p2ptk_encoders() -> Iterable[Component]:
    """Feature pyramids for `unet:encoder=NAME`.

    yield Component(name="swin", target="my_pkg.net:SwinFeatures")
    """
    raise NotImplementedError


@hookspec
def p2ptk_discriminators() -> Iterable[Component]:
    """Networks that judge an image as the translation of a source.

    yield Component(name="multiscale", target="my_pkg.net:MultiScale")
    """
    raise NotImplementedError


@hookspec
def p2ptk_losses() -> Iterable[Component]:
    """Terms of the generator's and the discriminator's objective.

    yield Component(name="edges", target="my_pkg.losses:EdgeLoss")
    """
    raise NotImplementedError


@hookspec
def p2ptk_datasets() -> Iterable[Component]:
    """Sources of aligned pairs.

    yield Component(name="lmdb", target="my_pkg.data:LmdbPairs")
    """
    raise NotImplementedError


@hookspec
def p2ptk_augmentations() -> Iterable[Component]:
    """Random changes to a batch, on the device.

    yield Component(name="cutout", target="my_pkg.aug:Cutout")
    """
    raise NotImplementedError


@hookspec
def p2ptk_metrics() -> Iterable[Component]:
    """Scores of translations over a split.

    yield Component(name="edge-f1", target="my_pkg.metrics:EdgeF1")
    """
    raise NotImplementedError


@hookspec
def p2ptk_launchers() -> Iterable[Component]:
    """Ways to run the jobs of a study.

    yield Component(name="my-cluster", target="my_pkg.launch:MyCluster")
    """
    raise NotImplementedError


@hookspec
def p2ptk_trackers() -> Iterable[Component]:
    """Places that scalars and images are mirrored to.

    yield Component(name="wandb", target="my_pkg.track:Wandb")
    """
    raise NotImplementedError


@hookspec
def p2ptk_recipes() -> Iterable[Component]:
    """Named sets of options, as TOML resources `package:path`.

    yield Component(name="sar", target="my_pkg:recipes/sar.toml", summary="SAR to optical")
    """
    raise NotImplementedError


@hookspec
def p2ptk_commands() -> Iterable[Component]:
    """Click commands that join `p2ptk`.

    yield Component(name="serve", target="my_pkg.cli:serve", summary="Translate in the browser")
    """
    raise NotImplementedError


def hook_name(kind: str) -> str:
    """The hook of a kind: `generator` -> `p2ptk_generators`, `loss` -> `p2ptk_losses`."""
    return f"p2ptk_{kind}{'es' if kind.endswith('s') else 's'}"
