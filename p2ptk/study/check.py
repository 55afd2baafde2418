"""Whether variants can be built and judged, found before anything is trained."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from p2ptk.build import Parts, build_parts
from p2ptk.config import RunConfig
from p2ptk.data import Data, build_data, need_split
from p2ptk.device import lacks_memory
from p2ptk.errors import P2ptkError, UserError, did_you_mean
from p2ptk.feed import fixed_batch
from p2ptk.metrics.scoring import Scoring, usual_metrics
from p2ptk.metrics.setting import Setting, stored_targets
from p2ptk.specs import Spec
from p2ptk.study.file import Judged
from p2ptk.study.job import read_result

_NOT_OF_DATA = ("generator", "discriminator", "losses", "train", "output", "inference", "metrics",
                "providers", "seed", "recipe")  # fmt: skip
TRIED = 4  # pairs that the metrics are tried on


@dataclass(frozen=True)
class Judging:
    """How values are judged. metrics: specs in full. primary: the deciding value's name.

    spec: of the metric that gives it.
    """

    metrics: tuple[str, ...]
    primary: str
    higher_is_better: bool
    spec: str


@dataclass
class Facts:
    """The pairs of a study, opened once for all variants that share them."""

    opened: dict[str, Data | P2ptkError] = field(default_factory=dict)

    def data(self, config: RunConfig) -> Data:
        """Raises as `build_data` does, each time alike."""
        table = config.table()
        key = json.dumps({k: v for k, v in table.items() if k not in _NOT_OF_DATA}, sort_keys=True)
        if key not in self.opened:
            try:
                self.opened[key] = build_data(config)
            except P2ptkError as error:
                self.opened[key] = error
        found = self.opened[key]
        if isinstance(found, P2ptkError):
            raise found
        return found


def check_variant(config: RunConfig, facts: Facts) -> None:
    """Build the networks, losses and augmentations of a config, and pass one batch through.

    It happens on the meta device, which knows shapes and no numbers; what can't be done there is
    done for real. Raises P2ptkError that says what does not fit.
    """
    data = facts.data(config)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        try:
            with torch.device("meta"):
                _pass(build_parts(config, data), config, data, torch.device("meta"))
        except P2ptkError:
            raise
        except Exception:
            height, width = config.size
            try:
                _pass(build_parts(config, data), config, data, torch.device("cpu"))
            except P2ptkError:
                raise
            except Exception as error:
                sentence = str(error).strip().splitlines()[0] if str(error).strip() else ""
                raise UserError(
                    f"its networks can't take a batch of {config.train.batch_size} at "
                    f"{height}x{width}: {type(error).__name__}: {sentence.rstrip('.')}."
                ) from error


def _pass(parts: Parts, config: RunConfig, data: Data, device: torch.device) -> None:
    """One batch through the generator, and its outcome through the discriminator."""
    batch = min(config.train.batch_size, 2)
    source = torch.zeros(batch, data.source_channels, *config.size, device=device)
    image = parts.generator.train()(source)
    wanted = (batch, data.target_channels, *config.size)
    if tuple(image.shape) != wanted:
        raise UserError(f"its generator gives {tuple(image.shape)}, where {wanted} is wanted.")
    if parts.discriminator is not None:
        parts.discriminator.train()(source, image)


def find_judging(
    evaluate: Judged,
    config: RunConfig,
    facts: Facts,
    ran: Path | None,
    problems: list[str],
) -> Judging | None:
    """The metrics' values and the one that decides, by trying the metrics on some pairs.

    ran: a study's folder; where a run in it was judged by the same metrics, what it says is taken.
    What is wrong is added to `problems`; None then.
    """
    try:
        specs = [str(spec) for spec in evaluate.metrics]
        given = _from_results(ran, specs) if ran and specs else {}
        if not given:
            specs, given = _tried(evaluate, specs, config, facts)
        primary, higher = _primary(evaluate, {name: better for name, (_, better) in given.items()})
    except P2ptkError as error:
        problems.append(f"[evaluate]: {error}")
        return None
    except (MemoryError, RuntimeError) as error:
        if not lacks_memory(error):
            raise
        height, width = config.val_size or config.size
        problems.append(f"[base]: pictures of {height}x{width} don't fit in memory: lower size.")
        return None
    return Judging(tuple(specs), primary, higher, given[primary][0])


Values = dict[str, tuple[str, bool | None]]  # by value's name: the metric's spec, higher is better


def _tried(
    evaluate: Judged, specs: list[str], config: RunConfig, facts: Facts
) -> tuple[list[str], Values]:
    """The values that the metrics give for the first targets, scored against themselves."""
    if evaluate.split == "train":
        raise UserError("split = 'train' would report what was trained on: write 'test' or 'val'.")
    if evaluate.split == "val" and evaluate.select == "best":
        raise UserError(
            "select = 'best' chooses weights on val, so the table can't report val: "
            "write split = 'test', or select = 'last'."
        )
    data = facts.data(config)
    split = need_split(data.dataset, evaluate.split)
    specs = specs or list(usual_metrics(data.target))
    setting = Setting(
        data.source, data.target, stored_targets(split, config.direction == "BtoA")
    )  # fmt: skip
    scoring = Scoring(specs, setting)
    batch = fixed_batch(
        split,
        range(min(TRIED, len(split))),
        data.dataset.a,
        data.dataset.b,
        direction=config.direction,
        size=config.val_size or config.size,
        augmentations=[a for a in data.augmentations if a.stage == "derive"],
        device=torch.device("cpu"),
    )
    target = data.restore(batch.source, batch.target)
    scoring.update(target, target, batch.source, lambda n: torch.stack([target] * n))
    done = scoring.finish(batch.names)
    if done.failed:
        raise UserError(" ".join(str(error) for error in done.failed.values()))
    return specs, {s.name: (s.metric, s.higher_is_better) for s in done.scores}


def _from_results(folder: Path, specs: list[str]) -> Values:
    """What a run that was judged by these metrics says of their values."""
    from p2ptk.study.job import scored_under

    for place in sorted(folder.glob("runs/*")):
        result = read_result(place)
        if result and result.status == "done" and scored_under(place).get("metrics") == specs:
            owner = dict.fromkeys(result.metrics, "")
            owner |= {name: _owner(name, specs) for name in result.metrics}
            return {n: (owner[n], result.higher_is_better.get(n)) for n in result.metrics}
    return {}


def _owner(name: str, specs: list[str]) -> str:
    return next((spec for spec in specs if name.startswith(Spec.parse(spec).name)), specs[0])


def _primary(evaluate: Judged, found: Mapping[str, bool | None]) -> tuple[str, bool]:
    """The value that decides and its direction: the one asked for, whole or up to its protocol."""
    wanted: Any = evaluate.primary
    if wanted is None:
        wanted = next((name for name, better in found.items() if better is not None), "")
        wanted = wanted or next(iter(found), "")
    matches = [name for name in found if name == wanted]
    matches += [name for name in found if name.startswith(f"{wanted}-")]
    if not matches:
        raise UserError(f"no metric gives {wanted!r}: {did_you_mean(str(wanted), found)}")
    name = matches[0]
    better = found[name] if evaluate.higher_is_better is None else evaluate.higher_is_better
    if better is None:
        raise UserError(
            f"{name!r} does not say whether higher is better: write higher_is_better = true or "
            "false."
        )
    return name, better
