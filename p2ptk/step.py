"""One adversarial update: the discriminator's phase, then the generator's.

    D:  min_D  sum_k w_k * loss_k.discriminator      on (source, fake) with fake = G(source) fixed
    G:  min_G  sum_k w_k * loss_k.generator          with D fixed

One generator forward serves both phases. Nothing here knows of files, logging or schedules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from p2ptk.contracts import Judgement, Translation
from p2ptk.device import Precision
from p2ptk.feed import Batch
from p2ptk.freeze import frozen, still_statistics
from p2ptk.optim import Updater
from p2ptk.pairs.augment import Drawn, Logits, tell_watching
from p2ptk.pool import Pool

Phase = Literal["D", "G"]


@dataclass
class Networks:
    """What one step updates. Without a discriminator only the generator's phase runs.

    pool: earlier translations that D sees among the new ones.
    watching: judge-stage augmentations that are told of D's judgement of the real images, by key.
    """

    generator: nn.Module
    discriminator: nn.Module | None
    g: Updater
    d: Updater | None
    precision: Precision
    pool: Pool | None = None
    watching: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Term:
    """A loss with its weight; a lazy one is called on every `every`-th step and scaled by it."""

    key: str
    loss: Any
    weight: float = 1.0
    every: int = 1

    @property
    def adversarial(self) -> bool:
        """Whether the loss asks the discriminator."""
        return bool(getattr(self.loss, "adversarial", hasattr(self.loss, "discriminator")))

    def due(self, phase: Phase, step: Step) -> bool:
        side = "discriminator" if phase == "D" else "generator"
        return (
            self.weight != 0
            and hasattr(self.loss, side)
            and step.number % self.every == 0
            and (step.adversarial or not self.adversarial)
        )


@dataclass(frozen=True)
class Step:
    """Which update this is.

    seed: what dropout draws from. judge: score G by the D after or before its update.
    adversarial: False before D's start; then D neither trains nor is asked.
    see: the judge-stage augmentations of this step, applied to all that D sees.
    reseed, translation: how dropout is seeded, and what is made for losses; others if captured.
    """

    number: int = 0
    epoch: float = 0.0
    seed: int = 0
    judge: Literal["after", "before"] = "after"
    accumulate: int = 1
    adversarial: bool = True
    see: Drawn | None = None
    reseed: Callable[[int], object] = torch.manual_seed
    translation: type[Translation] = Translation


def adversarial_step(
    networks: Networks, losses: Sequence[Term], batch: Batch, step: Step
) -> dict[str, Tensor]:
    """Update both networks once and give the step's scalars, still on the device.

    `d_loss` and `g_loss` are what was minimised, `d_KEY` and `g_KEY` the weighted terms, `finite`
    is False where a loss was not finite; such an update is skipped.

    With `accumulate` = n the batch is cut in n parts whose gradients add up. D then sees fakes made
    without a graph, and G makes the same ones again; its running statistics move in phase G only.
    """
    parts = batch.split(step.accumulate)
    shared = len(parts) == 1
    with torch.set_grad_enabled(shared):
        fakes = [_translate(networks, part, step, i, shared) for i, part in enumerate(parts)]

    scalars, real = dict[str, Tensor](), list[Logits]()
    updates_d = networks.d is not None and step.adversarial
    if updates_d:
        d_finite = _backward("D", networks, losses, parts, fakes, step, scalars, real)
    if updates_d and step.judge == "after":
        networks.d.step(d_finite)  # type: ignore[union-attr]

    again = fakes if shared else None
    g_finite = _backward("G", networks, losses, parts, again, step, scalars, [])
    if updates_d and step.judge == "before":
        networks.d.step(d_finite)  # type: ignore[union-attr]
    networks.g.step(g_finite)

    scalars |= tell_watching(networks.watching, real)
    scalars["finite"] = (g_finite & d_finite) if updates_d else g_finite
    return scalars


def critic_step(
    networks: Networks, losses: Sequence[Term], batch: Batch, step: Step
) -> dict[str, Tensor]:
    """Update the discriminator alone, for `d_steps` above 1 (WGAN's critic)."""
    parts = batch.split(step.accumulate)
    with torch.no_grad():
        fakes = [_translate(networks, part, step, i, False) for i, part in enumerate(parts)]
    scalars, real = dict[str, Tensor](), list[Logits]()
    finite = _backward("D", networks, losses, parts, fakes, step, scalars, real)
    assert networks.d is not None
    networks.d.step(finite)
    return {**scalars, **tell_watching(networks.watching, real), "finite": finite}


def _translate(networks: Networks, batch: Batch, step: Step, part: int, keep: bool) -> Tensor:
    """The generator's output in float32; `keep` says whether running statistics may move."""
    step.reseed(step.seed + part)
    with networks.precision.autocast(), still_statistics(networks.generator, not keep):
        return networks.generator(batch.source).float()


def _backward(
    phase: Phase,
    networks: Networks,
    losses: Sequence[Term],
    parts: Sequence[Batch],
    fakes: Sequence[Tensor] | None,
    step: Step,
    scalars: dict[str, Tensor],
    real: list[Logits],
) -> Tensor:
    """One phase's gradients, left in `.grad`; says whether the loss was finite.

    scalars, real: take the terms' values, and D's logits of each part's real images.
    """
    updater = networks.d if phase == "D" else networks.g
    assert updater is not None
    total: Tensor = torch.zeros((), device=parts[0].source.device)
    with frozen(networks.d if phase == "G" else None):
        for i, part in enumerate(parts):
            fake = fakes[i] if fakes is not None else _translate(networks, part, step, i, True)
            # Losses and augmentations that draw take a part's own numbers, as dropout does.
            see = step.see.part(i, len(parts)) if step.see and len(parts) > 1 else step.see
            drawn = replace(step, seed=step.seed + i, see=see)
            origin = part.source
            if phase == "D" and networks.pool is not None:
                origin, fake = networks.pool.exchange(origin, fake.detach(), drawn.seed)
            terms, notes, judged = _terms(phase, networks, losses, part, fake, origin, drawn)
            if not terms:
                continue
            loss = torch.stack(list(terms.values())).sum() / len(parts)
            updater.backward(loss, only=len(parts) == 1)
            total = total + loss.detach()
            real += [tuple(x.detach() for x in logits) for logits in judged]
            for name, value in {**terms, **notes}.items():
                scalars[name] = scalars.get(name, 0) + value.detach() / len(parts)
    scalars[f"{phase.lower()}_loss"] = total
    return updater.gathered(torch.isfinite(total))


def _terms(
    phase: Phase,
    networks: Networks,
    losses: Sequence[Term],
    batch: Batch,
    fake: Tensor,
    origin: Tensor,
    step: Step,
) -> tuple[dict[str, Tensor], Mapping[str, Tensor], list[Logits]]:
    """The weighted terms of one phase, what the losses noted, and how the real images were judged.

    origin: what `fake` was made from; not the batch's source where it comes from a pool.
    """
    due = [t for t in losses if t.due(phase, step)]
    # Losses that differentiate D by its input get a translation of their own, in float32.
    plain, exact = (
        _translation(phase, networks, batch, fake, origin, step, exact) for exact in (False, True)
    )
    terms = {}
    for term in due:
        t = exact if getattr(term.loss, "input_gradients", False) else plain
        value = term.loss.discriminator(t) if phase == "D" else term.loss.generator(t)
        terms[f"{phase.lower()}_{term.key}"] = value.float() * (term.weight * term.every)
    judged = [t.judged_real.logits for t in (plain, exact) if t.has_judged("real")][:1]
    return terms, {**plain.logged, **exact.logged}, judged


def _translation(
    phase: Phase,
    networks: Networks,
    batch: Batch,
    fake: Tensor,
    origin: Tensor,
    step: Step,
    exact: bool,
) -> Translation:
    """What the losses of one phase see; networks are called only when a loss asks."""
    target = batch.target
    if phase == "D":
        fake = fake.detach()
        if exact:
            fake, target = fake.requires_grad_(), target.detach().requires_grad_()

    def judge(source: Tensor, image: Tensor) -> Judgement:
        if networks.discriminator is None or not step.adversarial:
            raise RuntimeError("a loss that declares `adversarial = False` asked the discriminator")
        if image is fake and source is batch.source:
            source = origin
        if step.see is not None:
            source, image = step.see(source, image)
        with networks.precision.autocast(enabled=not exact):
            judgement: Judgement = networks.discriminator(source, image)
        return Judgement(tuple(x.float() for x in judgement.logits), judgement.features)

    return step.translation(
        step=step.number,
        epoch=step.epoch,
        phase=phase,
        rng=torch.Generator().manual_seed(step.seed),
        source=batch.source,
        target=target,
        fake=fake,
        extra=batch.extra,
        generator=networks.generator,
        judge=judge,
    )
