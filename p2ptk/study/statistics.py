"""What a set of runs allows to be said: intervals, paired differences, exact tests, ranks.

Runs are paired by seed: the same seed gives every variant the same data order, crops and initial
streams, so a variant is compared with its baseline seed by seed. Nothing here assumes a normal
distribution.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

LEVEL = 0.95
RESAMPLES = 9999
EXACT_UP_TO = 16  # observations: 65,536 sign patterns are listed, more are drawn


@dataclass(frozen=True)
class Summary:
    """Mean, standard deviation (n - 1) and number of values, with an interval for the mean.

    low, high: None where one value, or none, gives no interval. method: how it was found.
    """

    mean: float
    sd: float | None
    n: int
    low: float | None
    high: float | None
    method: str


@dataclass(frozen=True)
class Difference:
    """A variant minus its baseline over the seeds that both have.

    p: of the exact sign-flip test, two-sided; None without a pair. adjusted: the same after Holm's
    correction over the contrasts of a table, filled in by `holm`.
    """

    summary: Summary
    p: float | None
    adjusted: float | None = None

    @property
    def reachable(self) -> float:
        """The smallest p that so many pairs can give, before any correction."""
        return smallest_p(self.summary.n)


def summarise(values: Sequence[float], level: float = LEVEL, seed: int = 0) -> Summary:
    """The mean of some values, with a bias-corrected and accelerated bootstrap interval.

    BCa (Efron 1987) from scipy, with 9,999 resamples from `seed`. Where it is not defined, since
    nearly all values are equal, the interval is the range that the values span.
    """
    data = np.asarray(list(values), dtype=float)
    if not len(data):
        return Summary(math.nan, None, 0, None, None, "no value")
    mean = float(data.mean())
    if len(data) == 1:
        return Summary(mean, None, 1, None, None, "one value has no interval")
    sd = float(data.std(ddof=1))
    # Against rounding: 0.1 + 0.2 thrice is no spread.
    if np.ptp(data) <= 1e-12 * max(1.0, float(np.abs(data).max())):
        return Summary(mean, sd, len(data), mean, mean, "all values are equal")
    low, high = _bca(data, level, seed)
    if not (math.isfinite(low) and math.isfinite(high)):
        low, high = float(data.min()), float(data.max())
        return Summary(mean, sd, len(data), low, high, "range: BCa is not defined here")
    return Summary(mean, sd, len(data), low, high, f"BCa bootstrap, {level:.0%}")


def _bca(data: np.ndarray, level: float, seed: int) -> tuple[float, float]:
    import warnings

    from scipy import stats

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a degenerate distribution comes back as NaN
        found = stats.bootstrap(
            (data,),
            np.mean,
            confidence_level=level,
            n_resamples=RESAMPLES,
            method="BCa",
            rng=np.random.default_rng(seed),
        ).confidence_interval
    return float(found.low), float(found.high)


def compare(
    variant: Mapping[int, float], baseline: Mapping[int, float], level: float = LEVEL
) -> Difference:
    """Variant minus baseline, paired by seed; seeds that only one of them has are left out."""
    shared = sorted(variant.keys() & baseline.keys())
    differences = [variant[seed] - baseline[seed] for seed in shared]
    return Difference(summarise(differences, level), sign_flip(differences))


def sign_flip(differences: Sequence[float], seed: int = 0) -> float | None:
    """The two-sided p of no difference, by flipping the signs of paired differences.

    Under the null hypothesis each pair's difference is as likely as its negative (Fisher 1935). All
    2^n patterns are counted up to 16 pairs; beyond, 65,536 are drawn and the observed one is added.
    """
    data = np.asarray(list(differences), dtype=float)
    if not len(data):
        return None
    if len(data) <= EXACT_UP_TO:
        signs = np.array(list(itertools.product((1.0, -1.0), repeat=len(data))))
        extra = 0
    else:
        drawn = np.random.default_rng(seed).integers(0, 2, (2**EXACT_UP_TO, len(data)))
        signs, extra = drawn * 2.0 - 1.0, 1
    sums = np.abs(signs @ data)
    observed = abs(float(data.sum()))
    # Patterns that differ from the observed one by rounding alone are as extreme as it is.
    as_extreme = int((sums >= observed - 1e-9 * max(observed, float(np.abs(data).sum()))).sum())
    return (as_extreme + extra) / (len(signs) + extra)


def smallest_p(pairs: int) -> float:
    """The smallest two-sided p of the sign-flip test: 0.25 with 3 pairs, 0.031 with 6."""
    return min(1.0, 2.0 / 2**pairs)


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """p values of several contrasts, corrected by Holm's step-down method (Holm 1979).

    None, for a contrast that could not be tested, stays None and is not counted.
    """
    tested = sorted((p, i) for i, p in enumerate(ps) if p is not None)
    corrected: list[float | None] = [None] * len(ps)
    running = 0.0
    for rank, (p, i) in enumerate(tested):
        running = max(running, min(1.0, p * (len(tested) - rank)))
        corrected[i] = running
    return corrected


def reach(pairs: int, contrasts: int = 1, alpha: float = 0.05) -> str:
    """A sentence where so few pairs can't give p < alpha, whatever they say; else nothing."""
    best = smallest_p(pairs) * contrasts
    if best < alpha:
        return ""
    needed = next(n for n in itertools.count(pairs + 1) if smallest_p(n) * contrasts < alpha)
    after = f" after Holm's correction for {contrasts} contrasts" if contrasts > 1 else ""
    return (
        f"{pairs} seed{'s' if pairs != 1 else ''} cannot reach p < {alpha:g}{after}: "
        f"the smallest p is {min(best, 1.0):.3g}; {needed} seeds could."
    )


def ranks(summaries: Mapping[str, Summary], higher_is_better: bool) -> dict[str, str]:
    """The place of each variant by its mean; `2-4` where its interval overlaps its neighbours'.

    A variant is surely better than another where their intervals do not overlap, so its place lies
    between 1 + (those surely better) and n - (those surely worse). Without an interval, a mean
    counts as a point.
    """
    spans = {}
    for name, s in summaries.items():
        if s.n:
            low = s.mean if s.low is None else s.low
            high = s.mean if s.high is None else s.high
            spans[name] = (low, high) if higher_is_better else (-high, -low)
    found = {}
    for name, (low, high) in spans.items():
        better = sum(other[0] > high for key, other in spans.items() if key != name)
        worse = sum(other[1] < low for key, other in spans.items() if key != name)
        first, last = 1 + better, len(spans) - worse
        found[name] = str(first) if first == last else f"{first}-{last}"
    return found


def interaction(
    both: Mapping[int, float],
    first: Mapping[int, float],
    second: Mapping[int, float],
    neither: Mapping[int, float],
) -> Difference:
    """How much two changes together give beyond the sum of each alone, paired by seed.

    (both - second) - (first - neither): 0 where the effects add up.
    """
    shared = sorted(both.keys() & first.keys() & second.keys() & neither.keys())
    values = [both[s] - second[s] - first[s] + neither[s] for s in shared]
    return Difference(summarise(values), sign_flip(values))
