"""The collapse alarm: tells early that a student maps everything to one place, or forgets.

A student may reach a low loss with vectors that are all alike, or that use a few directions only;
the loss curve does not show it. Three signs do: the mean cosine of unrelated texts, the effective
rank of the vectors, and translation accuracy both ways. Plain functions on numpy arrays; the loop
asks after each evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from configs.errors import TandemError
from configs.training import AlarmSettings
from indexer.vectors import translation_accuracy, unit_rows

__all__ = ["Collapse", "Health", "collapse", "health"]


class Collapse(TandemError):
    """Training was stopped because the student's vectors no longer tell texts apart."""


@dataclass(frozen=True, slots=True)
class Health:
    """What the alarm looks at, for one set of held-out vectors."""

    cosine: float
    """Mean cosine of two different texts: near 0 is healthy, 1 is one point."""
    rank: float
    """Effective rank: how many directions the vectors really use."""
    forward: float | None = None
    """Translation accuracy source to target, in [0, 1]; None where the held-out texts are no pairs."""
    back: float | None = None
    """Translation accuracy target to source."""

    @property
    def accuracy(self) -> float | None:
        """The mean of both ways, or None."""
        if self.forward is None or self.back is None:
            return None
        return (self.forward + self.back) / 2


def health(source: NDArray[np.floating], target: NDArray[np.floating] | None = None) -> Health:
    """The signs of life of `source` (n, dim) and, if given, its translations `target` (n, dim)."""
    rows = unit_rows(source)
    if target is None:
        return Health(_mean_cosine(rows), _effective_rank(rows))
    others = unit_rows(target)
    forward, back = translation_accuracy(rows, others)
    cosine = max(_mean_cosine(rows), _mean_cosine(others))
    return Health(cosine, min(_effective_rank(rows), _effective_rank(others)), forward, back)


def collapse(history: Sequence[Health], settings: AlarmSettings) -> str | None:
    """Why the run has collapsed, in one sentence, or None. `history` is oldest first.

    The first `grace` evaluations are left alone: an untrained BERT's mean-pooled vectors have a
    cosine of 0.9 and more, and training is what pulls them apart. So a high cosine or a low rank
    counts only while it is not getting better; lost accuracy counts against the best there was.
    """
    if not settings.enabled or len(history) <= settings.grace:
        return None
    now, before = history[-1], history[-2]
    if not (np.isfinite(now.cosine) and np.isfinite(now.rank)):
        return "the held-out vectors hold values that are not numbers"
    if now.cosine > settings.cosine and now.cosine >= before.cosine:
        return f"different texts have a mean cosine of {now.cosine:.3f} (limit {settings.cosine})"
    if now.rank < settings.rank and now.rank <= before.rank:
        return f"the vectors use {now.rank:.1f} directions (limit {settings.rank})"
    best = max((h.accuracy for h in history if h.accuracy is not None), default=0.0)
    if now.accuracy is not None and now.accuracy < settings.accuracy * best:
        return f"translation accuracy fell to {now.accuracy:.3f} from {best:.3f}"
    return None


def _mean_cosine(rows: NDArray[np.floating]) -> float:
    """Mean of the off-diagonal cosines of unit rows: (|sum|^2 - sum of |row|^2) / n(n - 1)."""
    n = len(rows)
    if n < 2:
        return 0.0
    total = rows.sum(axis=0, dtype=np.float64)
    return float((total @ total - np.square(rows, dtype=np.float64).sum()) / (n * (n - 1)))


def _effective_rank(rows: NDArray[np.floating]) -> float:
    """exp of the entropy of the singular values' shares (Roy and Vetterli 2007), rows centred.

    The singular values are taken of the (dim, dim) scatter, so that many rows cost little.
    """
    centred = rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64)
    if not np.isfinite(centred).all():
        return float("nan")
    values = np.sqrt(np.clip(np.linalg.eigvalsh(centred.T @ centred), 0.0, None))
    total = values.sum()
    if total <= 1e-9 * max(1, len(rows)):
        return 0.0
    shares = values[values > 0] / total
    return float(np.exp(-(shares * np.log(shares)).sum()))
