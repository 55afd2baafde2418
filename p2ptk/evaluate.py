"""Metrics over a split, at the size that a model was trained at."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from p2ptk.build import Keyed
from p2ptk.components import create
from p2ptk.contracts import Dataset, Metric, Split
from p2ptk.feed import fixed_batch
from p2ptk.translate import Translator


@torch.no_grad()
def evaluate(
    translator: Translator,
    dataset: Dataset,
    split: Split,
    metrics: Sequence[str],
    *,
    batch_size: int = 4,
    on_progress: Callable[[int, int, str], None] | None = None,
) -> dict[str, float]:
    """The metrics' values by name; the same for any batch size.

    Raises UserError for an unknown metric, before anything is translated.
    """
    header = translator.header
    made: list[Metric] = [create("metric", name) for name in metrics]
    generator = translator.network()
    derive = [Keyed("derive", each, "derive") for each in translator.codec.derive]
    for start in range(0, len(split), batch_size):
        numbers = range(start, min(start + batch_size, len(split)))
        batch = fixed_batch(
            split,
            list(numbers),
            dataset.a,
            dataset.b,
            direction=header.direction,
            size=header.size,
            augmentations=derive,
            device=translator.device,
        )
        with translator.precision.autocast():
            fake = generator(batch.source).float()
        for metric in made:
            metric.update(fake, batch.target, batch.source)
        if on_progress:
            on_progress(numbers.stop, len(split), batch.names[-1])
    return {name: value for metric in made for name, value in metric.compute().items()}
