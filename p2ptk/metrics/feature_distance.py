"""A metric on the features of a network, whatever the network: collected, then compared as sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from p2ptk.metrics.distances import (
    Array,
    FeatureSums,
    as_rows,
    frechet_distance,
    frechet_of_features,
    inside,
    kernel_distance,
    kernel_distances_left_out,
    need_images,
)
from p2ptk.metrics.intervals import Interval, jackknife_interval, mean_interval

Measure = Literal["frechet", "kernel", "precision-recall"]
FEW = 2000  # images; below, a Frechet distance is biased by their number


class FeatureDistance:
    """Frechet distance, kernel distance, or precision and recall between fakes and targets.

    Values are called `fd-NAME-256-n106` and `kd-NAME-256-n106`, after the features, the size of the
    images and their number; `precision-...` and `recall-...` alike. Under 2,000 images a Frechet
    distance comes with the kernel distance before it, and a note on its bias.

    features: from images N C H W in [-1, 1] to N D. Called under `no_grad` with both sides in turn.
    name: of the features: backbone and whatever else decides them.
    measures: what is computed of them.
    words: names of the first two measures in place of `fd` and `kd`.
    """

    def __init__(
        self,
        features: Callable[[Tensor], Tensor],
        name: str,
        measures: Sequence[Measure] = ("frechet",),
        *,
        words: tuple[str, str] = ("fd", "kd"),
        protocol: str = "",
    ) -> None:
        self.features, self.name = features, name
        self.measures, self.words, self.protocol = tuple(measures), words, protocol
        self.sums = {"fake": FeatureSums(), "real": FeatureSums()}
        self.rows: dict[str, list[Array]] = {"fake": [], "real": []}
        self.sizes: set[tuple[int, int]] = set()

    @property
    def count(self) -> int:
        return self.sums["fake"].count

    @torch.no_grad()
    def update(self, fake: Tensor, target: Tensor, source: Tensor) -> None:
        """fake, target: N C H W in [-1, 1]."""
        self.sizes.add((fake.shape[-2], fake.shape[-1]))
        for side, image in (("fake", fake), ("real", target)):
            rows = as_rows(self.features(image))
            self.sums[side].add(rows)
            self.rows[side].append(rows.astype(np.float32))
        if self.measures == ("frechet",) and self.count >= FEW:
            self.rows = {"fake": [], "real": []}  # its sums say all; spare the memory

    def compute(self) -> dict[str, float]:
        """The values by name. Raises UserError for too few images."""
        values: dict[str, float] = {}
        if not self.count:
            return values
        if self._shows_kernel:
            values[self._called(self.words[1])] = kernel_distance(*self._both())
        if "frechet" in self.measures:
            values[self._called(self.words[0])] = self._frechet()
        if "precision-recall" in self.measures:
            precision, recall = self._inside()
            values[self._called("precision")] = float(precision.mean())
            values[self._called("recall")] = float(recall.mean())
        return values

    def intervals(self) -> dict[str, Interval | None]:
        """95 %, by name: of a kernel distance by the jackknife over pairs, of precision and recall
        by the bootstrap over images with the manifolds as they are. A Frechet distance has none:
        its bias is what matters."""
        found: dict[str, Interval | None] = {}
        if self._shows_kernel and self.count >= 10:
            x, y = self._both()
            without = kernel_distances_left_out(x, y).tolist()
            name = self._called(self.words[1])
            found[name] = jackknife_interval(kernel_distance(x, y), without)
        if "precision-recall" in self.measures:
            for word, share in zip(("precision", "recall"), self._inside(), strict=True):
                found[self._called(word)] = mean_interval(share.astype(float).tolist())
        return found

    @property
    def higher_is_better(self) -> dict[str, bool]:
        """By name."""
        return {
            **{self._called(word): False for word in self.words},
            **{self._called(word): True for word in ("precision", "recall")},
        }

    def notes(self) -> list[str]:
        """What a reader of the values should know."""
        if "frechet" not in self.measures or self.count >= FEW:
            return []
        low, high = self.words[0].upper(), self.words[1].upper()
        return [
            f"{low} of {self.count} images is biased upwards by an amount that differs from model "
            f"to model: compare models by {high}, and {low} only at the same number of images."
        ]

    @property
    def _shows_kernel(self) -> bool:
        few = "frechet" in self.measures and self.count < FEW
        return "kernel" in self.measures or few

    def _frechet(self) -> float:
        need_images(self.count, 2, "a Frechet distance")
        fake, real = self.sums["fake"], self.sums["real"]
        if self.rows["fake"] and self.count <= len(fake.mean()):
            return frechet_of_features(*self._both())
        return frechet_distance(fake.mean(), fake.covariance(), real.mean(), real.covariance())

    def _inside(self) -> tuple[Array, Array]:
        fake, real = self._both()
        return inside(fake, real).astype(float), inside(real, fake).astype(float)

    def _both(self) -> tuple[Array, Array]:
        fake, real = (np.concatenate(self.rows[side]).astype(np.float64) for side in self.rows)
        return fake, real

    def _called(self, word: str) -> str:
        sizes = [f"{h}" if h == w else f"{h}x{w}" for h, w in self.sizes]
        size = sizes[0] if len(sizes) == 1 else "mixed"
        return f"{word}-{self.name}-{size}-n{self.count}"
