"""Margin scores of candidate translations, and the pairs they choose: plain arrays in and out.

Artetxe and Schwenk 2019 ("Margin-based Parallel Corpus Mining with Multilingual Sentence Embeddings"),
as used by Reimers and Gurevych 2020, section 4.2. Does not know where neighbours come from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "MARGINS",
    "RETRIEVALS",
    "Margin",
    "Neighbours",
    "Pairs",
    "Retrieval",
    "choose",
    "mean_cosine",
]

BLOCK = 65_536  # sentences worked on at a time, so that memory stays small

Margin = Literal["ratio", "distance", "absolute"]
Retrieval = Literal["forward", "backward", "max", "intersection"]
MARGINS: tuple[str, ...] = get_args(Margin)
RETRIEVALS: tuple[str, ...] = get_args(Retrieval)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The k nearest of the other side for each sentence of one side, nearest first."""

    cosines: NDArray[np.float32]
    """(n, k); where `rows` is -1 the value means nothing."""
    rows: NDArray[np.int64]
    """(n, k) rows of the other side; -1 where fewer than k were found."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Sentence pairs by row, best first; equal scores in the order of (source, target)."""

    source: NDArray[np.int64]  # (m,)
    target: NDArray[np.int64]  # (m,)
    scores: NDArray[np.float64]  # (m,)

    def __len__(self) -> int:
        return len(self.scores)

    def above(self, threshold: float) -> Pairs:
        """Those with a score of at least `threshold`."""
        kept = self.scores >= threshold
        return Pairs(self.source[kept], self.target[kept], self.scores[kept])


def mean_cosine(found: Neighbours) -> NDArray[np.float64]:
    """The mean cosine of each sentence's neighbours; 0 where none was found. (n, k) -> (n,)"""
    real = found.rows >= 0
    count = real.sum(axis=1)
    total: NDArray[np.float64] = np.where(real, found.cosines, 0).sum(axis=1, dtype=np.float64)
    total /= np.maximum(count, 1)
    return total


def choose(
    forward: Neighbours,
    backward: Neighbours,
    margin: Margin = "ratio",
    retrieval: Retrieval = "max",
) -> Pairs:
    """The pairs that a retrieval strategy keeps, with their margin scores.

    With a = cos(x, y) and b = (mean cosine of x's neighbours + mean cosine of y's neighbours) / 2:
    ratio a / b, distance a - b, absolute a. `forward` holds, for each source sentence, its nearest
    targets; `backward` the reverse. Strategies: `forward` the best target of each source; `backward`
    the best source of each target; `intersection` those both agree on; `max` both together, best
    score first, every sentence at most once.
    """
    source_mean, target_mean = mean_cosine(forward), mean_cosine(backward)
    best_target, forward_scores = _best(forward, source_mean, target_mean, margin)
    best_source, backward_scores = _best(backward, target_mean, source_mean, margin)
    sources, targets = np.arange(len(best_target)), np.arange(len(best_source))
    if retrieval == "forward":
        return _ordered(sources, best_target, forward_scores)
    if retrieval == "backward":
        return _ordered(best_source, targets, backward_scores)
    if retrieval == "intersection":
        # -1 (no neighbour) reads the last row here; `_ordered` drops those pairs
        agree = best_source[best_target] == sources if len(targets) else np.zeros(0, dtype=bool)
        return _ordered(sources[agree], best_target[agree], forward_scores[agree])
    both = _ordered(
        np.concatenate([sources, best_source]),
        np.concatenate([best_target, targets]),
        np.concatenate([forward_scores, backward_scores]),
    )
    return _once_each(both, len(sources), len(targets))


def _best(
    found: Neighbours, own: NDArray[np.float64], other: NDArray[np.float64], margin: Margin
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Each sentence's best row of the other side by margin (-1: none), and that margin. (n,) and (n,)"""
    n, k = found.rows.shape
    best, margins = np.full(n, -1, dtype=np.int64), np.full(n, -np.inf)
    for start in range(0, n if k else 0, BLOCK):
        rows = found.rows[start : start + BLOCK]
        cosines = found.cosines[start : start + BLOCK].astype(np.float64)
        # where a row is -1, `other` gives its last value; masked below
        between = (own[start : start + BLOCK, None] + other[rows]) / 2
        if margin == "ratio":
            # a mean of zero or less: the neighbourhood says nothing, and a quotient would flip its sign
            scores = np.divide(cosines, between, out=np.zeros_like(cosines), where=between > 0)
        else:
            scores = cosines - between if margin == "distance" else cosines
        scores = np.where(rows >= 0, scores, -np.inf)
        at = scores.argmax(axis=1)  # ties: the nearer neighbour
        every = np.arange(len(rows))
        best[start : start + BLOCK] = rows[every, at]
        margins[start : start + BLOCK] = scores[every, at]
    best[np.isneginf(margins)] = -1
    return best, margins


def _ordered(
    source: NDArray[np.int64], target: NDArray[np.int64], scores: NDArray[np.float64]
) -> Pairs:
    real = (source >= 0) & (target >= 0)
    source, target, scores = source[real], target[real], scores[real]
    order = np.lexsort((target, source, -scores))
    return Pairs(source[order], target[order], scores[order])


def _once_each(pairs: Pairs, sources: int, targets: int) -> Pairs:
    """Greedily from the best, each sentence of either side at most once."""
    used_source, used_target = bytearray(sources), bytearray(targets)
    kept = np.zeros(len(pairs), dtype=bool)
    for start in range(0, len(pairs), BLOCK):
        block = slice(start, start + BLOCK)
        both = zip(pairs.source[block].tolist(), pairs.target[block].tolist(), strict=True)
        for at, (i, j) in enumerate(both, start=start):
            if not used_source[i] and not used_target[j]:
                used_source[i] = used_target[j] = 1
                kept[at] = True
    return Pairs(pairs.source[kept], pairs.target[kept], pairs.scores[kept])
