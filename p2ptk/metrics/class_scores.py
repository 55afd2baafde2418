"""How well class maps agree: accuracy over pixels and over classes, and intersection over union."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from p2ptk.metrics.intervals import Array, Interval, bca_interval

RATES = ("pixel-accuracy", "class-accuracy", "class-iou")


class ClassScores:
    """Counts, image by image, of pixels a class that are right, true and predicted.

    The three rates of Long et al. 2015, section 5, over all pixels of all images: pixel accuracy;
    class accuracy, the mean over classes that occur in the truth; class IoU, the mean over classes
    that occur in the truth or the prediction.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self._counts: list[Tensor] = []

    def add(self, predicted: Tensor, truth: Tensor) -> None:
        """predicted, truth: N H W of class numbers, int64."""
        for one, other in zip(predicted.flatten(1), truth.flatten(1), strict=True):
            sets = (other[one == other], other, one)
            rows = [torch.bincount(numbers, minlength=self.classes) for numbers in sets]
            self._counts.append(torch.stack(rows).cpu())

    def values(self) -> dict[str, float]:
        """The rates over all images; nothing before the first one."""
        if not self._counts:
            return {}
        found = _rates(self._array().sum(0)[None])
        return {name: float(found[name][0]) for name in RATES}

    def per_image(self) -> dict[str, list[float]]:
        """The rates of each image by itself."""
        return {name: values.tolist() for name, values in _rates(self._array()).items()}

    def intervals(self) -> dict[str, Interval | None]:
        """95 % of each rate, by the bootstrap over images."""
        counts = self._array()
        flat = counts.reshape(len(counts), -1)

        def interval(name: str) -> Interval | None:
            def statistic(weights: Array) -> Array:
                return _rates((weights @ flat).reshape(len(weights), 3, -1))[name]

            return bca_interval(statistic, len(counts))

        return {name: interval(name) for name in RATES}

    def _array(self) -> Array:
        stacked = [counts.numpy() for counts in self._counts]
        return np.array(stacked, dtype=np.float64).reshape(len(stacked), 3, self.classes)


def _rates(counts: Array) -> dict[str, Array]:
    """counts: N 3 K (right, true, predicted) -> N values a rate; NaN where it has none."""
    right, true, predicted = counts[:, 0], counts[:, 1], counts[:, 2]
    union = true + predicted - right
    return {
        "pixel-accuracy": right.sum(1) / np.maximum(true.sum(1), 1),
        "class-accuracy": _mean_share(right, true),
        "class-iou": _mean_share(right, union),
    }


def _mean_share(part: Array, whole: Array) -> Array:
    """The mean over classes of part / whole, without the classes whose whole is nothing."""
    occurs = whole > 0
    shares = np.where(occurs, part / np.where(occurs, whole, 1), 0)
    return np.asarray(shares.sum(1) / np.maximum(occurs.sum(1), 1))
