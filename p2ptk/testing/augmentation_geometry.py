"""Checks for augmentations: where they move things, and what must stay what it is."""

from __future__ import annotations

import torch

from p2ptk.contracts import Side
from p2ptk.errors import UserError
from p2ptk.testing.common import check
from p2ptk.testing.displacement import compare_geometry, compare_sides
from p2ptk.testing.outcomes import Failed, Skipped, Warned
from p2ptk.testing.scene import SIZE, Scene, apply, started, tell
from p2ptk.testing.subject import Subject

NEAR = {"derive": 6.0, "data": 1.5, "judge": 1.5}  # pixels that two sides may differ by
CLASSES = 4
RESTORED = 0.02  # mean difference, of [-1, 1], that conversions may leave


@check("augmentation")
def shared_geometry(subject: Subject) -> str:
    """Source and target are moved alike: a spot at one place of both comes out at one place."""
    made = started(subject)
    found = compare_sides(subject, made, NEAR[made.stage])
    if found.apart:
        raise Failed(
            f"{subject.name}.apply moves source and target differently: a spot at one place of "
            f"both came out {found.furthest:.0f} pixels apart ({found.apart} of {found.seen} "
            "times). Draw the geometry once, and apply it to both."
        )
    return f"{found.seen} spots compared."


@check("augmentation")
def geometry_of_extras(subject: Subject) -> str | None:
    """`geometry(x, params, nearest)` moves extra tensors as the target is moved."""
    made = started(subject)
    if not hasattr(made, "geometry"):
        if hasattr(made, "load_size"):
            raise Warned(
                f"{subject.name} crops and has no geometry(x, params, nearest): data with extra "
                "tensors (masks) can't be used with it."
            )
        raise Skipped("it has no `geometry`.")
    scene = Scene.of(subject, made)
    mask = (scene.target[:, :1] > 0).float()
    moved = made.geometry(mask, dict(scene.params), True)
    if tuple(moved.shape) != (len(mask), 1, *SIZE):
        raise Failed(f"{subject.name}.geometry gives {tuple(moved.shape)} of {tuple(mask.shape)}.")
    if not ((moved == 0) | (moved == 1)).all():
        raise Failed(
            f"{subject.name}.geometry blends the values of a mask although nearest=True: resample "
            "by nearest neighbour there."
        )
    found = compare_geometry(subject, made, NEAR[made.stage])
    if found.apart:
        raise Failed(
            f"{subject.name}.geometry moves an extra tensor differently from the target: a spot "
            f"came out {found.furthest:.0f} pixels apart ({found.apart} of {found.seen} times)."
        )
    return f"{found.seen} spots compared."


@check("augmentation")
def labels_stay_labels(subject: Subject) -> str | None:
    """A source of labels, one-hot, holds 0 and 1 afterwards, or is refused with a UserError."""
    made = subject.build()
    if made.stage != "data":
        raise Skipped("this is asked at stage data.")
    knows = hasattr(made, "sides")
    try:
        tell(made, Side("labels", classes=CLASSES), Side())
        scene = Scene.of(subject, made, labels=CLASSES)
        source, _ = apply(subject, made, scene)
    except UserError as error:
        return f"refused: {error}"
    if ((source == 0) | (source == 1)).all():
        return None
    if knows:
        raise Failed(
            f"{subject.name}.apply blends or changes one-hot labels, although sides() says that "
            "the source holds labels: resample them by nearest neighbour and leave their values, "
            "or raise UserError in sides()."
        )
    raise Warned(
        f"{subject.name} blends or changes one-hot labels: have sides(source, target) tell it "
        "which side holds labels."
    )


@check("augmentation")
def restores(subject: Subject) -> str:
    """`restore(source, image)` gives the picture back that source and target were made from."""
    made = started(subject)
    if not hasattr(made, "restore"):
        raise Skipped("it has no `restore`.")
    scene = Scene.of(subject, made)
    source, target = apply(subject, made, scene)
    with torch.no_grad():
        found = made.restore(source, target)
    if found.shape != scene.target.shape:
        raise Failed(
            f"{subject.name}.restore gives {tuple(found.shape)} where the data holds "
            f"{tuple(scene.target.shape)}: give a picture as the data holds it."
        )
    apart = float((found - scene.target).abs().mean())
    if not apart < RESTORED:
        raise Failed(
            f"{subject.name}.restore(source, target) is {apart:.3g} from the picture that apply "
            "made the two from, on average: it must undo what apply does to the target."
        )
    return f"{apart:.2g} from the picture, on average."
