"""Checks for metrics."""

from __future__ import annotations

import math

import torch

from p2ptk.metrics.results import better_by_name
from p2ptk.testing.common import check
from p2ptk.testing.gallery import COUNT, gallery_of, scores
from p2ptk.testing.kept import Kept
from p2ptk.testing.outcomes import Failed, Skipped
from p2ptk.testing.subject import Subject

WHOLE = (COUNT,)
SPLITS = ((1,) * COUNT, (COUNT - 1, 1))
NOISY, NOISIER = 0.1, 0.5  # amplitude of the noise on translations
CLOSE = 1e-4  # relative, between splits


@check("metric", essential=True)
def values(subject: Subject) -> str:
    """compute() gives finite floats under names."""
    shown = gallery_of(subject)
    found = usual_scores(subject, NOISY)
    if not isinstance(found, dict) or not found:
        raise Failed(f"{subject.name}.compute gives {found!r}: give a dict, {{name: value}}.")
    for name, value in found.items():
        if not isinstance(name, str) or not name.strip():
            raise Failed(f"{subject.name}.compute has the name {name!r}: give a text.")
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise Failed(
                f"{subject.name}.compute gives {name} as {type(value).__name__}: give a float, as "
                "float(x) makes it."
            )
        if not math.isfinite(value):
            raise Failed(f"{subject.name}.compute gives {name} = {value} for noisy images.")
    return f"{_shown(found)} for noisy {shown.holds}."


@check("metric")
def any_batches(subject: Subject) -> None:
    """The values do not depend on how images are batched."""
    whole = usual_scores(subject, NOISY)
    for split in SPLITS:
        for name, value in scores(subject, split, NOISY).items():
            if not math.isclose(value, whole[name], rel_tol=CLOSE, abs_tol=1e-6):
                raise Failed(
                    f"{subject.name} gives {name} = {whole[name]:.6g} for {COUNT} images in one "
                    f"batch, and {value:.6g} in batches of {list(split)}: keep sums over images, "
                    "or a score an image, not a mean of batches."
                )


@check("metric")
def identical_images(subject: Subject) -> str:
    """Identical images have the best value: noise makes it no better."""
    made = subject.build()
    if hasattr(made, "update_samples"):
        raise Skipped("it compares several translations, not a translation with its target.")
    declared = getattr(made, "higher_is_better", None)
    if declared is None:
        raise Skipped("it does not declare higher_is_better (True or False, or a dict by name).")
    found = [usual_scores(subject, noise) for noise in (0.0, NOISY, NOISIER)]
    for name, best in found[0].items():
        higher = better_by_name(declared, name)
        noisy = [each[name] for each in found[1:]]
        if higher is None:
            continue
        beaten = max(noisy) > best + 1e-9 if higher else min(noisy) < best - 1e-9
        if beaten:
            raise Failed(
                f"{subject.name} declares higher_is_better = {higher} of {name}, which is "
                f"{best:.4g} for identical images and {max(noisy) if higher else min(noisy):.4g} "
                f"for noisy ones: declare higher_is_better = {not higher}, or look for a sign "
                "that is turned round."
            )
    return f"{_shown(found[0])} for identical images."


@check("metric")
def instances_apart(subject: Subject) -> None:
    """A new one begins from nothing."""
    first, _ = usual_scores(subject, NOISIER), usual_scores(subject, 0.0)
    again = scores(subject, WHOLE, NOISIER)
    for name, value in first.items():
        if not math.isclose(value, again[name], rel_tol=1e-9, abs_tol=1e-12):
            raise Failed(
                f"{subject.name} gives {name} = {value:.6g}, and {again[name]:.6g} for the same "
                "images after another was used: keep sums on self, set in __init__, and draw "
                "nothing."
            )


@check("metric")
def leaves_images(subject: Subject) -> None:
    """It changes no image, and draws from no global generator."""
    shown, made = gallery_of(subject), subject.build()
    if hasattr(made, "prepare"):
        made.prepare(shown.setting())
    images = {"fake": shown.fake(NOISY), "target": shown.target, "source": shown.source}
    update = made.update if not hasattr(made, "update_samples") else made.update_samples
    if hasattr(made, "update_samples"):
        images["fake"] = torch.stack([shown.fake(NOISY, seed) for seed in range(made.samples)])
    kept, drawn = Kept(images), torch.get_rng_state()
    with torch.no_grad():
        update(*images.values())
        made.compute()
    if name := kept.changed():
        raise Failed(f"{subject.name}.update changes {name} in place: other metrics read it too.")
    if not torch.equal(drawn, torch.get_rng_state()):
        raise Failed(
            f"{subject.name} draws from torch's global generator: use a torch.Generator of its own."
        )


def usual_scores(subject: Subject, noise: float) -> dict[str, float]:
    """What it computes of all images in one batch; once for each noise."""
    found: dict[str, float] = subject.once(f"scores {noise}", lambda: scores(subject, WHOLE, noise))
    return found


def _shown(found: dict[str, float]) -> str:
    return ", ".join(f"{name} = {value:.4g}" for name, value in found.items())
