"""Metrics over a split: of a model's translations, or of pictures that any program made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from p2ptk.contracts import Dataset, Side, Split
from p2ptk.errors import UserError
from p2ptk.feed import fixed_batch
from p2ptk.inference import has_noise
from p2ptk.metrics.pictures import Pictures, pair_file
from p2ptk.metrics.results import Evaluation
from p2ptk.metrics.scoring import Draw, Scoring
from p2ptk.metrics.setting import Setting, stored_targets
from p2ptk.pairs.batch import Direction
from p2ptk.specs import Spec
from p2ptk.translate import Translator
from p2ptk.translation.pictures import save_picture, suffix_for

Progress = Callable[[int, int, str], None]
Metrics = Sequence[str | Spec]


def evaluate(
    translator: Translator,
    dataset: Dataset,
    split: Split,
    metrics: Metrics,
    *,
    batch_size: int = 4,
    on_progress: Progress | None = None,
) -> dict[str, float]:
    """The metrics' values by name. As `score_model`, whose result says more."""
    done = score_model(
        translator, dataset, split, metrics, batch_size=batch_size, on_progress=on_progress
    )
    return done.values


class Scored(NamedTuple):
    """A batch to be scored: N C H W each, as pictures of their side in [-1, 1].

    draw: several translations of each source under other noise, n N C H W; None without noise.
    """

    fake: Tensor
    target: Tensor
    source: Tensor
    names: tuple[str, ...]
    draw: Draw | None = None


@torch.no_grad()
def score_model(
    translator: Translator,
    dataset: Dataset,
    split: Split,
    metrics: Metrics,
    *,
    batch_size: int = 4,
    save: Path | None = None,
    on_progress: Progress | None = None,
) -> Evaluation:
    """Score a model's translations of a split, at the size that it was trained at.

    Values do not depend on the batch size. save: a folder that the translations are written to,
    by the names of the pairs.
    Raises UserError for an unknown metric, before anything is translated, and where no metric
    comes out; metrics that fail beside others are listed in the result.
    """
    header = translator.header
    need_sides(translator, dataset)
    targets = stored_targets(split, header.direction == "BtoA")
    scoring = Scoring(metrics, Setting(header.source, header.target, targets))
    batches = translated(translator, dataset, split, batch_size, save)
    return _score(scoring, batches, len(split), on_progress)


def need_sides(translator: Translator, dataset: Dataset) -> None:
    """Raises UserError where the data does not hold what the model translates from and to."""
    header = translator.header
    backwards = header.direction == "BtoA"
    sides = (dataset.b, dataset.a) if backwards else (dataset.a, dataset.b)
    letters = "BA" if backwards else "AB"
    named = (("source", letters[0], header.source), ("target", letters[1], header.target))
    for (word, letter, wanted), found in zip(named, sides, strict=True):
        if word == "source" and translator.codec.derives:
            continue
        if wanted.kind != found.kind or wanted.depth != found.depth:
            raise UserError(
                f"the model's {word} is {_described(wanted)}, and side {letter} of this data is "
                f"{_described(found)}: give the data as in the model's run.toml."
            )


def _described(side: Side) -> str:
    return f"labels of {side.depth} classes" if side.kind == "labels" else side.kind


def translated(
    translator: Translator, dataset: Dataset, split: Split, batch_size: int, save: Path | None
) -> Iterator[Scored]:
    """A split's pairs with their translations, in order; see `score_model`."""
    header, codec = translator.header, translator.codec
    suffix = suffix_for(codec.blank, ".png")
    for start in range(0, len(split), batch_size):
        batch = fixed_batch(
            split,
            range(start, min(start + batch_size, len(split))),
            dataset.a,
            dataset.b,
            direction=header.direction,
            size=header.size,
            augmentations=codec.augmentations,
            device=translator.device,
        )

        def translate(seed: int | None = None, source: Tensor = batch.source) -> Tensor:
            with translator.precision.autocast():
                return translator.network(seed)(source).float()

        def draw(count: int, source: Tensor = batch.source) -> Tensor:
            fakes = [codec.restore(source, translate(seed, source)) for seed in range(count)]
            return torch.stack(fakes)

        image = translate()
        fake, target = (codec.restore(batch.source, x) for x in (image, batch.target))
        if save is not None:
            pictures = codec.finish(image.cpu(), batch.source.cpu())
            for name, picture in zip(batch.names, pictures, strict=True):
                save_picture(pair_file(save, name, suffix), picture)
        noisy = draw if has_noise(translator.generator) else None
        yield Scored(fake, target, batch.source, batch.names, noisy)


@torch.no_grad()
def score_images(
    images: str | Path,
    dataset: Dataset,
    split: Split,
    metrics: Metrics,
    *,
    direction: Direction = "AtoB",
    size: tuple[int, int] | None = None,
    device: torch.device | None = None,
    batch_size: int = 4,
    on_progress: Progress | None = None,
) -> Evaluation:
    """Score pictures that any program made of a split's sources, by the same code as a model's.

    images: a folder, or a path whose file name has one `*` in place of the pairs' names.
    size: height and width that the pairs are scaled to first, as the program had them; None takes
        them as they are. Pictures are never scaled.
    Raises UserError that lists pictures without a pair and pairs without a picture, or a picture
    of another size than its target; and as `score_model` does.
    """
    backwards = direction == "BtoA"
    sides = (dataset.b, dataset.a) if backwards else (dataset.a, dataset.b)
    pictures = Pictures.find(images, split)
    scoring = Scoring(metrics, Setting(*sides, stored_targets(split, backwards)))
    place = device or torch.device("cpu")
    batches = (
        Scored(fake, batch.target, batch.source, batch.names)
        for fake, batch in pictures.batches(dataset, direction, size, place, batch_size)
    )
    return _score(scoring, batches, len(split), on_progress)


def _score(
    scoring: Scoring, batches: Iterator[Scored], total: int, on_progress: Progress | None
) -> Evaluation:
    names: list[str] = []
    for batch in batches:
        scoring.update(batch.fake, batch.target, batch.source, batch.draw)
        names += batch.names
        if on_progress:
            on_progress(len(names), total, names[-1])
    return scoring.finish(names)
