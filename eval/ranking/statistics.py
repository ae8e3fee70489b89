"""Is a difference more than chance? Intervals, paired tests and effect sizes over queries.

Every function takes one value a query, in the same order of queries for both sides. Random draws have
a fixed seed: the same values give the same figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from configs.errors import MissingExtra

__all__ = ["Interval", "Paired", "bootstrap", "holm", "paired", "shown_p", "signed"]

RESAMPLES = 10_000
TIE = 1e-9
"""Values this near are one value: measures are ratios, and differ by far more when they differ."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and the bounds of its confidence interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Paired:
    """One side against another on the same queries; the difference is other - base."""

    difference: Interval
    p_randomisation: float
    p_t: float
    effect: float
    """Cohen's d of paired differences: their mean over their standard deviation; 0 if both are 0."""
    wins: int
    ties: int
    losses: int


def bootstrap(
    values: Sequence[float] | NDArray[np.float64], level: float = 0.95, seed: int = 0
) -> Interval:
    """The mean over queries and its percentile bootstrap interval (Efron and Tibshirani 1993, ch. 13).

    Queries are drawn with replacement, RESAMPLES times. `level` in (0, 1).
    """
    sample = np.asarray(values, dtype=np.float64)
    if not len(sample):
        raise ValueError("an interval needs at least one value")
    rng = np.random.default_rng(seed)
    means = np.empty(RESAMPLES)
    block = max(1, 4_000_000 // len(sample))  # bounds memory at some tens of MB
    for start in range(0, RESAMPLES, block):
        size = min(block, RESAMPLES - start)
        rows = rng.integers(0, len(sample), size=(size, len(sample)))  # (size, queries)
        means[start : start + size] = sample[rows].mean(axis=1)
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(sample.mean()), float(low), float(high))


def paired(base: Sequence[float], other: Sequence[float], level: float = 0.95) -> Paired:
    """`other` against `base`, query by query.

    The randomisation test swaps the sides of a query with probability one half and is exact where
    there are few queries (Smucker, Allan and Carterette 2007); both tests are two-sided.
    """
    if len(base) != len(other) or not len(base):
        raise ValueError(f"{len(base)} and {len(other)} values cannot be paired")
    first, second = np.asarray(base, dtype=np.float64), np.asarray(other, dtype=np.float64)
    difference = second - first
    difference[np.abs(difference) < TIE] = 0.0
    spread = float(difference.std(ddof=1)) if len(difference) > 1 else 0.0
    mean = float(difference.mean())
    return Paired(
        bootstrap(difference, level),
        _randomisation(difference),
        _t_test(difference),
        mean / spread if spread > TIE else 0.0,
        int((difference > 0).sum()),
        int((difference == 0).sum()),
        int((difference < 0).sum()),
    )


def _randomisation(difference: NDArray[np.float64]) -> float:
    """Two-sided p of the mean under random signs; exact when all sign patterns can be tried."""
    moved = difference[difference != 0]
    if len(moved) < 2:  # either sign of one difference is as likely
        return 1.0
    try:
        from scipy.stats import permutation_test
    except ImportError as error:
        raise MissingExtra("scipy", "eval", "testing for significance") from error

    def mean(values: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
        return np.asarray(values.sum(axis=axis) / len(difference))

    result = permutation_test(
        (moved,),
        mean,
        permutation_type="samples",
        n_resamples=RESAMPLES - 1,
        batch=256,
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    return float(result.pvalue)


def _t_test(difference: NDArray[np.float64]) -> float:
    """Two-sided p of Student's paired t test; 1 where it is not defined (one query, or no spread)."""
    if len(difference) < 2 or float(difference.std()) < TIE:
        return 1.0
    from scipy.stats import ttest_1samp

    return float(ttest_1samp(difference, 0.0).pvalue)


def holm(probabilities: Sequence[float]) -> list[float]:
    """p values corrected for how many there are (Holm 1979): step down, never falling, at most 1."""
    order = sorted(range(len(probabilities)), key=lambda row: probabilities[row])
    corrected = [0.0] * len(probabilities)
    largest = 0.0
    for step, row in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - step) * probabilities[row]))
        corrected[row] = largest
    return corrected


def signed(difference: float) -> str:
    """A difference to four places with its sign; never "-0.0000"."""
    return f"{round(difference, 4) + 0.0:+.4f}"


def shown_p(probability: float) -> str:
    """A p value for people, to four places."""
    return "<0.0001" if probability < 0.0001 else f"{probability:.4f}"
