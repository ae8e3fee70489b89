"""Two sides' scores to one, as pure functions of arrays: one entry a passage, the same order in each.

`convex` is what Tandem searches with; the others are the field's, to compare with. A passage that a
side's own list did not hold still has that side's exact score here (`Index.score`), save for `rrf`,
which goes by ranks alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Fused", "combmnz", "convex", "minmax", "rrf", "scaled", "zscore"]

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Fused:
    """(n,) each: what each side gave; the score is their sum."""

    dense: Scores
    lexical: Scores

    @property
    def score(self) -> Scores:
        return self.dense + self.lexical


def scaled(scores: Scores, low: float, high: float) -> Scores:
    """Scores as shares of the way from `low` to `high`: bounds that depend on the query, never on the list.

    At most 1; below 0 where a score is lower than `low`, so that the order there is kept.
    """
    if high <= low:
        return np.zeros_like(scores)
    return np.minimum((scores - low) / (high - low), 1.0)


def convex(
    dense: Scores,
    lexical: Scores,
    dense_bounds: tuple[float, float],
    lexical_bounds: tuple[float, float],
    weight: float,
    same_language: Scores,
    cross_language: float,
) -> Fused:
    """(1 - w) x dense + w x g x lexical^2, both scaled by their bounds (after Bruch, Gai and Ingber 2023).

    `dense_bounds` are the mean cosine of unrelated texts and 1; `lexical_bounds` 0 and the BM25 that no
    passage can exceed, words that the index does not hold included. The lexical score is thus the share
    of the query's idf mass that matched: it is squared, because that share is also how far to trust it
    (a match of "how" and "to" is noise). g is 1 where query and document share a language and falls to
    `cross_language` where they surely do not: `same_language` (n,) in [0, 1] says how sure.

    Measured with `python -m benchmarks.fusion` (nDCG@10, weight 0.7, cross_language 0.8): the demo, whose
    queries mostly cross, 0.442 (dense alone 0.441); Cranfield 0.510 (0.408), CACM 0.412 (0.331); NTREX,
    where all answers are translations, 0.557 (0.582). Passages were split less evenly then, which moved
    these by 0.01 or less. Reciprocal ranks gave the demo 0.248, with an earlier student.
    """
    gate = cross_language + (1.0 - cross_language) * same_language
    words = scaled(lexical, *lexical_bounds)
    return Fused(
        (1.0 - weight) * scaled(dense, *dense_bounds),
        weight * gate * words * words,
    )


def rrf(dense_ranks: Scores, lexical_ranks: Scores, k: int = 60) -> Fused:
    """1 / (k + rank) of each side's list, 0 where the rank is infinite (Cormack, Clarke and Buettcher 2009)."""
    return Fused(1.0 / (k + dense_ranks), 1.0 / (k + lexical_ranks))


def minmax(dense: Scores, lexical: Scores, weight: float) -> Fused:
    """A convex sum of scores scaled by the least and the greatest of these lists."""

    def scale(scores: Scores) -> Scores:
        return scaled(scores, float(scores.min(initial=np.inf)), float(scores.max(initial=-np.inf)))

    return Fused((1.0 - weight) * scale(dense), weight * scale(lexical))


def zscore(dense: Scores, lexical: Scores, weight: float) -> Fused:
    """A weighted sum of standard scores of these lists."""

    def scale(scores: Scores) -> Scores:
        spread = float(scores.std()) if len(scores) else 0.0
        return (scores - scores.mean()) / spread if spread > 0 else np.zeros_like(scores)

    return Fused((1.0 - weight) * scale(dense), weight * scale(lexical))


def combmnz(dense: Scores, lexical: Scores, weight: float) -> Fused:
    """`minmax`, times the number of sides with a positive share (Fox and Shaw 1994)."""
    fused = minmax(dense, lexical, weight)
    sides = (fused.dense > 0).astype(float) + (fused.lexical > 0)
    return Fused(fused.dense * sides, fused.lexical * sides)
