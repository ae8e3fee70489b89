"""How much two rankings differ, without judgments: overlap at k and rank-biased overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eval.formats.trec import Run

__all__ = ["Change", "churn", "overlap", "rank_biased_overlap"]


@dataclass(frozen=True, slots=True)
class Change:
    """One query: 1.0 is no change."""

    query_id: str
    overlap: float
    rbo: float


def overlap(first: Sequence[str], second: Sequence[str], k: int) -> float:
    """Share of the k best that both hold; of the longer list where both are shorter than k.

    Two empty lists agree: 1.0.
    """
    longest = min(k, max(len(first), len(second)))
    return len(set(first[:k]) & set(second[:k])) / longest if longest else 1.0


def rank_biased_overlap(first: Sequence[str], second: Sequence[str], p: float = 0.9) -> float:
    """Extrapolated rank-biased overlap of two rankings without ties, in [0, 1].

    RBO_ext of Webber, Moffat and Zobel (2010), equation 32, for lists of unequal length; a reader goes
    on to the next rank with probability `p`. Two empty lists agree: 1.0; an empty and another: 0.0.
    """
    short, long = sorted((list(first), list(second)), key=len)
    if not long:
        return 1.0
    if not short:
        return 0.0
    s, length = len(short), len(long)
    seen_short: set[str] = set()
    seen_long: set[str] = set()
    agreed = [0] * (length + 1)  # X_d: documents in common down to depth d
    for depth in range(1, length + 1):
        if depth <= s:
            seen_short.add(short[depth - 1])
        seen_long.add(long[depth - 1])
        agreed[depth] = len(seen_short & seen_long)
    at_s, at_end = agreed[s], agreed[length]
    total = sum(agreed[d] / d * p**d for d in range(1, length + 1))
    total += sum(at_s * (d - s) / (s * d) * p**d for d in range(s + 1, length + 1))
    return (1 - p) / p * total + ((at_end - at_s) / length + at_s / s) * p**length


def churn(first: Run, second: Run, k: int = 10, p: float = 0.9) -> list[Change]:
    """Every query of either run, most changed first (by overlap, RBO, id)."""
    changes = []
    for query in {**first, **second}:
        before = [document for document, _ in first.get(query, [])]
        after = [document for document, _ in second.get(query, [])]
        changes.append(
            Change(query, overlap(before, after, k), rank_biased_overlap(before, after, p))
        )
    return sorted(changes, key=lambda change: (change.overlap, change.rbo, change.query_id))
