"""From a RunConfig to the parts of a run: networks, losses, augmentations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import torch
from torch import nn

from p2ptk.components import Resolved, create, resolve
from p2ptk.config import RunConfig, Train
from p2ptk.data import Data
from p2ptk.device import Precision, keep_memory
from p2ptk.errors import UserError
from p2ptk.init import initialise
from p2ptk.missing import need_providers
from p2ptk.optim import make_updater
from p2ptk.pairs.augment import Keyed
from p2ptk.pool import Pool
from p2ptk.specs import Spec
from p2ptk.speed import fast, shape
from p2ptk.step import Networks, Term

CORE_KEYS = ("weight", "every", "stage")


@dataclass
class Parts:
    """Everything that a trainer mixes."""

    generator: nn.Module
    discriminator: nn.Module | None
    losses: list[Term]
    augmentations: list[Keyed]
    providers: dict[str, str] = field(default_factory=dict)


def resolve_config(config: RunConfig) -> RunConfig:
    """The config with every component's parameters written out and its provider recorded.

    Raises UserError for the first component or parameter that does not resolve.
    """
    providers: dict[str, str] = {}

    def full(kind: str, spec: Spec) -> Spec:
        core = {k: v for k, v in spec.params.items() if k in CORE_KEYS}
        try:
            found = resolve(kind, spec.without(*CORE_KEYS))
        except UserError:
            need_providers(spec, config.providers, "the run")  # the better answer, where it raises
            raise
        providers[f"{kind}/{found.provided.name}"] = found.provided.provider
        _note_nested(found, providers)
        return found.spec.having(**core)

    def all_full(kind: str, specs: Mapping[str, Spec]) -> dict[str, Spec]:
        return {key: full(kind, spec) for key, spec in specs.items()}

    discriminator = config.discriminator
    return config.model_copy(
        update={
            "data": full("dataset", config.data),
            "generator": full("generator", config.generator),
            "discriminator": full("discriminator", discriminator) if discriminator else None,
            "losses": all_full("loss", config.losses),
            "augmentations": all_full("augmentation", config.augmentations),
            "trackers": all_full("tracker", config.trackers),
            "metrics": all_full("metric", config.metrics),
            "providers": providers,
        }
    )


def _note_nested(found: Resolved, providers: dict[str, str]) -> None:
    for parameter in found.fields:
        if parameter.nested and isinstance(found.params[parameter.name], Spec):
            inner = resolve(parameter.nested, found.params[parameter.name])
            providers[f"{parameter.nested}/{inner.provided.name}"] = inner.provided.provider
            _note_nested(inner, providers)


def build_parts(
    config: RunConfig,
    data: Data,
    *,
    generator: nn.Module | None = None,
    discriminator: nn.Module | None = None,
    losses: Mapping[str, Any] | None = None,
) -> Parts:
    """Build networks, losses and augmentations. Objects given take the place of their specs.

    Weights are drawn from the run's seed: the generator's and the discriminator's from streams of
    their own, so that a change of one leaves the other's start as it was.
    """
    channels = {
        "source_channels": data.source_channels,
        "target_channels": data.target_channels,
    }

    def network(kind: str, spec: Spec, stream: int) -> nn.Module:
        torch.manual_seed(config.seed * 2 + stream)
        module: nn.Module = create(kind, spec, **channels)
        initialise(module, config.train.init, config.train.init_gain)
        return module

    if generator is None:
        generator = network("generator", config.generator, 0)
        check_size(config, generator)
    if discriminator is None and config.discriminator:
        discriminator = network("discriminator", config.discriminator, 1)
    terms = _terms(config.losses, losses or {})
    if discriminator is None:
        _refuse_adversarial(terms)
    if config.train.pool:
        _refuse_pooled(terms)
    if not terms:
        raise UserError("there is no loss to train with: name one, as in -L l1:weight=100.")
    return Parts(generator, discriminator, terms, list(data.augmentations), dict(config.providers))


def place(parts: Parts, train: Train, device: torch.device, precision: Precision) -> Networks:
    """Networks and losses on the device, as is fast there, with an optimiser for each side.

    Augmentations that watch the discriminator come with them, their state on the device, too.
    A loss with parameters is frozen in eval mode, unless it says which side it trains with.
    """

    def put(module: nn.Module) -> nn.Module:
        return fast(module, train, device, precision)

    generator = put(parts.generator.train())
    discriminator = put(parts.discriminator.train()) if parts.discriminator else None
    shape(generator, discriminator, train)
    trained: dict[str, list[tuple[str, nn.Parameter]]] = {
        "generator": list(generator.named_parameters()),
        "discriminator": list(discriminator.named_parameters()) if discriminator else [],
    }
    for term in parts.losses:
        if not isinstance(term.loss, nn.Module):
            continue
        put(term.loss)
        side = getattr(term.loss, "trainable", None)
        if side:
            named = term.loss.train().named_parameters()
            trained[side] += [(f"{term.key}.{name}", p) for name, p in named]
        else:
            term.loss.eval().requires_grad_(False)
    watching = {
        keyed.key: keyed.augmentation
        for keyed in parts.augmentations
        if keyed.stage == "judge" and hasattr(keyed.augmentation, "observe")
    }
    for augmentation in watching.values():
        augmentation.state.to(device)
    if device.type == "cpu":
        keep_memory()  # not before: building leaves a copy of every weight behind
    g, d = trained["generator"], trained["discriminator"]
    return Networks(
        generator=generator,
        discriminator=discriminator,
        g=make_updater(g, train, "g", precision.scaler()),
        d=make_updater(d, train, "d", precision.scaler()) if d else None,
        precision=precision,
        pool=Pool(train.pool) if train.pool else None,
        watching=watching,
    )


def _terms(specs: Mapping[str, Spec], objects: Mapping[str, Any]) -> list[Term]:
    terms = []
    for key, spec in specs.items():
        loss = create("loss", spec.without(*CORE_KEYS))
        weight, every = spec.params.get("weight", 1.0), spec.params.get("every", None)
        every = getattr(loss, "every", 1) if every is None else every
        if isinstance(weight, bool) or not isinstance(weight, (int, float)):
            raise UserError(f"losses.{key}.weight should be a number (got {weight!r}).")
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise UserError(f"losses.{key}.every should be a whole number from 1 (got {every!r}).")
        terms.append(Term(key, loss, float(weight), every))
    terms += [Term(key, loss, every=getattr(loss, "every", 1)) for key, loss in objects.items()]
    return terms


def _refuse_adversarial(terms: list[Term]) -> None:
    needy = [t.key for t in terms if t.adversarial and t.weight]
    if needy:
        raise UserError(
            f"the loss {needy[0]!r} needs a discriminator: give one with -D, "
            f"or drop the loss with -L -{needy[0]}."
        )


def _refuse_pooled(terms: list[Term]) -> None:
    """Losses that set a fake against its own target can't be given fakes of other pairs."""
    for term in terms:
        if getattr(term.loss, "needs_own_pair", False):
            raise UserError(
                f"the loss {term.key!r} compares a translation with its own target, and train.pool "
                "shows D translations of other pairs: set train.pool=0, or take another loss."
            )


def check_size(config: RunConfig, generator: nn.Module) -> None:
    """Refuse a size that the generator can't divide, naming sizes and depths that fit."""
    multiple = getattr(generator, "size_multiple", 1)
    multiples = (multiple, multiple) if isinstance(multiple, int) else tuple(multiple)
    for size, flag in ((config.size, "--size"), (config.val_size, "--val-size")):
        if size and any(side % m for side, m in zip(size, multiples, strict=True)):
            _refuse_size(config, size, flag, multiples)


def _refuse_size(
    config: RunConfig, size: tuple[int, int], flag: str, multiples: tuple[int, ...]
) -> NoReturn:
    height, width = size
    shown = f"{height}" if height == width else f"{height}x{width}"
    nearest = [max(m, round(s / m) * m) for s, m in zip(size, multiples, strict=True)]
    fits = "x".join(str(n) for n in (nearest[:1] if nearest[0] == nearest[1] else nearest))
    advice = f"{flag} {fits} would do"
    depth = min((side & -side).bit_length() - 1 for side in size)
    if "depth" in config.generator.params and depth >= 2:
        advice += f", or -G {config.generator.name}:depth={depth}"
    raise UserError(
        f"the generator {config.generator.name!r} needs sizes that are multiples of "
        f"{multiples[0] if multiples[0] == multiples[1] else multiples}, "
        f"and {shown} is not: {advice}."
    )
