"""Distances between two sets of features: Frechet, kernel, precision and recall.

All of it in float64 with numpy. Each function takes features as arrays N D, a row an image.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from p2ptk.errors import UserError

Array = NDArray[np.float64]
ROWS = 1000  # of a kernel or distance matrix that are held at a time


def frechet_distance(mean_x: Array, cov_x: Array, mean_y: Array, cov_y: Array) -> float:
    """|m - n|^2 + tr(C + D - 2 (C D)^(1/2)) of two Gaussians (Heusel et al. 2017, section 5).

    mean: D; cov: D D, symmetric. The root's trace is taken from C^(1/2) D C^(1/2), which is
    symmetric with the same eigenvalues, so that singular covariances do no harm.
    """
    values, vectors = np.linalg.eigh(cov_x)
    half = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    inner = half @ cov_y @ half
    root = np.sqrt(np.linalg.eigvalsh((inner + inner.T) / 2).clip(0)).sum()
    apart = ((mean_x - mean_y) ** 2).sum()
    return float(apart + np.trace(cov_x) + np.trace(cov_y) - 2 * root)


def frechet_of_features(x: Array, y: Array) -> float:
    """`frechet_distance` of two sets of features, by their unbiased covariances.

    Where there are fewer images than features, by a shorter way to the same value: with C = A'A
    and D = B'B, the root's trace is the sum of the singular values of A B'.
    Raises UserError for fewer than two images.
    """
    need_images(min(len(x), len(y)), 2, "a Frechet distance")
    if min(len(x), len(y)) > x.shape[1]:
        return frechet_distance(x.mean(0), np.cov(x.T), y.mean(0), np.cov(y.T))
    a = (x - x.mean(0)) / np.sqrt(len(x) - 1)
    b = (y - y.mean(0)) / np.sqrt(len(y) - 1)
    root = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    apart = ((x.mean(0) - y.mean(0)) ** 2).sum()
    return float(apart + (a**2).sum() + (b**2).sum() - 2 * root)


def kernel_distance(x: Array, y: Array) -> float:
    """The squared MMD, unbiased, of the kernel (x.y / D + 1)^3 (Binkowski et al. 2018, section 4).

    Of the whole sets, so that no random draw is in it; the mean over random subsets, which other
    programs give, estimates the same number. It may lie below 0 for sets that are very alike.
    Raises UserError for fewer than two images.
    """
    need_images(min(len(x), len(y)), 2, "a kernel distance")
    return _KernelSums.of(x, y).distance()


def kernel_distances_left_out(x: Array, y: Array) -> Array:
    """The kernel distance without each pair of images in turn; x and y as long as each other."""
    need_images(min(len(x), len(y)), 3, "an interval of the kernel distance")
    return _KernelSums.of(x, y).left_out()


def inside(points: Array, members: Array, neighbours: int = 3) -> NDArray[np.bool_]:
    """Which points lie in the manifold of `members` (Kynkäänniemi et al. 2019, section 3.1).

    The manifold is the union of balls around the members, each as wide as the distance to its
    `neighbours`-th nearest other member. Precision is the share of fakes inside the manifold of
    real images, recall that of real images inside the manifold of fakes.
    Raises UserError for too few members.
    """
    need_images(len(members), neighbours + 1, "precision and recall")
    radius = np.concatenate(  # the nearest is the member itself
        [np.sort(_distances(part, members), 1)[:, neighbours] for part in _parts(members)]
    )
    return np.concatenate([(_distances(part, members) <= radius).any(1) for part in _parts(points)])


def precision_recall(fake: Array, real: Array, neighbours: int = 3) -> tuple[float, float]:
    """Precision and recall of a set of fakes; see `inside`."""
    precision = inside(fake, real, neighbours).mean()
    return float(precision), float(inside(real, fake, neighbours).mean())


class FeatureSums:
    """Mean and covariance of features that come in batches, in float64."""

    def __init__(self) -> None:
        self.count = 0
        self._first: Array = np.zeros(0)
        self._sum: Array = np.zeros(0)
        self._products: Array = np.zeros((0, 0))

    def add(self, x: Array) -> None:
        """x: N D."""
        if not self.count:
            # Sums of what differs from the first image lose fewer digits than plain ones.
            self._first = x[0].copy()
            self._sum = np.zeros(x.shape[1])
            self._products = np.zeros((x.shape[1], x.shape[1]))
        self.count += len(x)
        moved = x - self._first
        self._sum += moved.sum(0)
        self._products += moved.T @ moved

    def mean(self) -> Array:
        return self._first + self._sum / self.count

    def covariance(self) -> Array:
        """The unbiased one."""
        outer = np.outer(self._sum, self._sum) / self.count
        return (self._products - outer) / (self.count - 1)


class _KernelSums(NamedTuple):
    """Sums of the kernel over the other set, and within each set without the diagonal."""

    xx: Array  # N: of x_i with all other x
    yy: Array
    xy: Array  # N: of x_i with all y
    yx: Array
    pairs: Array  # of x_i with y_i; empty where the sets differ in length

    @classmethod
    def of(cls, x: Array, y: Array) -> _KernelSums:
        def kernel(a: Array, b: Array) -> Array:
            return np.asarray((a @ b.T / a.shape[1] + 1) ** 3)

        def own(a: Array) -> Array:
            return ((a**2).sum(1) / a.shape[1] + 1) ** 3

        xx = np.concatenate([kernel(part, x).sum(1) for part in _parts(x)]) - own(x)
        yy = np.concatenate([kernel(part, y).sum(1) for part in _parts(y)]) - own(y)
        yx = np.zeros(len(y))
        xy = []
        for part in _parts(x):
            across = kernel(part, y)
            xy.append(across.sum(1))
            yx += across.sum(0)
        pairs = ((x * y).sum(1) / x.shape[1] + 1) ** 3 if len(x) == len(y) else np.zeros(0)
        return cls(xx, yy, np.concatenate(xy), yx, pairs)

    def distance(self) -> float:
        n, m = len(self.xx), len(self.yy)
        within = self.xx.sum() / (n * (n - 1)) + self.yy.sum() / (m * (m - 1))
        return float(within - 2 * self.xy.sum() / (n * m))

    def left_out(self) -> Array:
        n = len(self.pairs)
        within = (self.xx.sum() - 2 * self.xx) + (self.yy.sum() - 2 * self.yy)
        across = self.xy.sum() - self.xy - self.yx + self.pairs
        return np.asarray(within / ((n - 1) * (n - 2)) - 2 * across / (n - 1) ** 2)


def as_rows(features: Tensor) -> Array:
    """Features N D from any device and precision, as float64."""
    rows: Array = features.detach().cpu().double().numpy()
    return rows


def need_images(found: int, needed: int, what: str) -> None:
    """Raises UserError where there are too few."""
    if found < needed:
        raise UserError(f"{what} needs at least {needed} images, and there are {found}.")


def _parts(x: Array) -> list[Array]:
    return [x[start : start + ROWS] for start in range(0, len(x), ROWS)]


def _distances(x: Array, y: Array) -> Array:
    squares = (x**2).sum(1)[:, None] + (y**2).sum(1)[None] - 2 * (x @ y.T)
    return np.sqrt(squares.clip(0))
