"""Two sides' scores to one, as pure functions of arrays: one entry a passage, the same order in each.

`convex` puts the passages of one language in order, and `interleave` puts the languages together: that
is what Tandem searches with. The others are the field's, to compare with. A passage that a side's own
list did not hold still has that side's exact score here (`Index.score`), save for `rrf`, which goes by
ranks alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.schema import Scores, SignalName
from indexer.search.lexical import K1

__all__ = [
    "Fused",
    "across",
    "combmnz",
    "convex",
    "interleave",
    "minmax",
    "rrf",
    "scaled",
    "zscore",
]


@dataclass(frozen=True, slots=True)
class Fused:
    """(n,) each: what each side gave; the score is their sum."""

    dense: Scores
    lexical: Scores

    @property
    def score(self) -> Scores:
        return self.dense + self.lexical

    @property
    def parts(self) -> Mapping[SignalName, Scores]:
        return {"dense": self.dense, "lexical": self.lexical}


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
) -> Fused:
    """(1 - w) x dense + w x lexical ** 1.5, both scaled by their bounds (after Bruch, Gai and Ingber 2023).

    `dense_bounds` are the mean cosine of unrelated texts and 1; `lexical_bounds` 0 and the BM25 that no
    passage can exceed, words that the index does not hold included. The lexical score is thus the share
    of the query's idf mass that matched. It is raised to a power, because that share is also how far to
    trust it: a match of "how" and "to" is noise.
    """
    words = np.maximum(scaled(lexical, *lexical_bounds), 0.0)
    return Fused((1.0 - weight) * scaled(dense, *dense_bounds), weight * words**1.5)


def across(
    dense: Scores,
    lexical: Scores,
    dense_bounds: tuple[float, float],
    lexical_bounds: tuple[float, float],
) -> Scores:
    """What is comparable between languages: meaning, or words where nearly all of the query matched.

    max(dense, 1 - exp(-m ** 2.25)). BM25's bound counts a word that is repeated without end; m is 1 where
    a passage of average length holds each word of the query once, 1 / (k1 + 1) of that bound.
    """
    meaning, matched = scaled(dense, *dense_bounds), scaled(lexical, *lexical_bounds)
    words = -np.expm1(-(((K1 + 1.0) * np.maximum(matched, 0.0)) ** 2.25))
    return np.where(matched > 0, np.maximum(meaning, words), meaning)


def interleave(
    within: Fused, between: Scores, languages: NDArray[Any], offered: NDArray[np.bool_]
) -> Fused:
    """Languages put together: in each, the passage that is r-th by `within` gets its r-th highest `between`.

    No passage in another language than the query's can match its words, so a sum of both sides sinks
    every answer that must cross. Here words only settle the order inside a language, where they can be
    compared, and `between` (`across`) settles how the languages stand to each other. This is score
    normalisation by distributions (Manmatha, Rath and Feng 2001; quantile normalisation, Bolstad et al.
    2003), a language a list. In one language the order is that of `within`; the score is a `between`
    one, so it stays below 1 and its size means the same everywhere.

    The two distributions are those of the passages that are marked `offered` (the standard pool of the
    query), so that a score does not depend on how many were asked for. Another has its own `between`, or
    what its place among those of its language is worth where that is less. `languages` (n,) are any
    numbers, one a language. The shares are in the proportion of the parts of `within`.

    `python -m benchmarks.fusion`, nDCG@10, weight 0.8; before: a convex sum whose words counted less in
    another language than the query's.

                    words  meaning   both  before
        demo        0.126    0.441  0.449   0.434   most queries cross
        Cranfield   0.521    0.423  0.525   0.507   English
        NTREX-128   0.051    0.580  0.578   0.554   all answers are translations
        CACM        0.470    0.364  0.475   0.423   English
        ADI         0.476    0.475  0.515   0.508   English
        AfriQA      0.757    0.547  0.770   0.739   English
        headlines   0.218    0.512  0.519           some cross
        MGSM        0.171    0.442  0.450           some cross

    Both are as good as the better side or better on each: in the paired randomisation test AfriQA and MGSM
    gain (p 0.002 and 0.001), the others differ by chance (NTREX p 0.37). All eight were looked at while
    it was chosen, so none of them is a clean hold-out. What still loses: the two rarest words
    of a document as a query find it at 0.97 in the demo where words alone find all (headlines 0.93, words
    0.99), since meaning brings strangers in other languages.
    """
    score = between.copy()
    rows = np.flatnonzero(offered)
    if len(rows):
        order = rows[np.lexsort((within.score[rows], languages[rows]))]
        worth = between[rows[np.lexsort((between[rows], languages[rows]))]]
        value, group = within.score[order], languages[order]
        first = np.ones(len(rows), np.bool_)  # of a run of equals, who all get its highest place
        first[1:] = (value[1:] != value[:-1]) | (group[1:] != group[:-1])
        highest = np.maximum.reduceat(worth, np.flatnonzero(first))
        score[order] = highest[np.cumsum(first) - 1]
        for language in set(languages[~offered].tolist()):
            known = order[languages[order] == language]  # rising
            if len(known):
                rest = np.flatnonzero((languages == language) & ~offered)
                most = np.interp(within.score[rest], within.score[known], score[known])
                score[rest] = np.minimum(score[rest], most)
    dense, lexical = np.maximum(within.dense, 0.0), within.lexical
    total = dense + lexical
    share = score * np.divide(lexical, total, out=np.zeros_like(total), where=total > 0)
    return Fused(score - share, share)


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
