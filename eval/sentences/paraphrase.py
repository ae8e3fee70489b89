"""Paraphrase detection by a threshold on cosine (BanglaEmbed's task, and any pairs labelled 0 or 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from configs.errors import DocumentError
from eval.sentences.tables import labels, read_rows

__all__ = [
    "Detection",
    "Labelled",
    "Paraphrases",
    "best_threshold",
    "detect",
    "paraphrases",
    "read_labelled",
]

FIXED = 0.8  # BanglaEmbed's threshold


@dataclass(frozen=True, slots=True)
class Labelled:
    """Sentence pairs; `same` says which mean the same."""

    first: tuple[str, ...]
    second: tuple[str, ...]
    same: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Detection:
    """What a threshold finds: a pair is called a paraphrase when its cosine is at least `threshold`."""

    threshold: float
    accuracy: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class Paraphrases:
    """`fixed` at 0.8; `best` by F1, chosen on `chosen_on` (on the measured pairs: an upper bound)."""

    pairs: int
    positives: int
    mean_cosine_same: float | None
    """Mean cosine of pairs that mean the same; None where there is none."""
    mean_cosine_other: float | None
    fixed: Detection
    best: Detection
    chosen_on: str


def read_labelled(path: str, columns: Sequence[str] | None = None) -> Labelled:
    """Sentence, sentence, label (1: same meaning, 0: not) from a TSV or JSON lines."""
    rows = read_rows(path, ("s1", "s2", "label"), columns)
    first, second = (tuple(row.values[side] for row in rows) for side in (0, 1))
    return Labelled(first, second, tuple(labels(path, rows, 2)))


def detect(cosine: NDArray[np.float64], same: NDArray[np.bool_], threshold: float) -> Detection:
    """Accuracy, precision, recall and F1 of one threshold; a figure over nothing is 0. Arrays (n,)."""
    called = cosine >= threshold
    right = int((called & same).sum())
    precision = right / int(called.sum()) if called.any() else 0.0
    recall = right / int(same.sum()) if same.any() else 0.0
    f1 = 2 * precision * recall / (precision + recall) if right else 0.0
    return Detection(threshold, float((called == same).mean()), precision, recall, f1)


def best_threshold(cosine: NDArray[np.float64], same: NDArray[np.bool_]) -> float:
    """The threshold of the highest F1, midway between two cosines; the highest such one on a tie.

    Raises DocumentError where no pair means the same.
    """
    if not same.any():
        raise DocumentError("no pair is labelled 1; a threshold cannot be chosen")
    order = np.argsort(-cosine, kind="stable")
    ranked = cosine[order]
    called = np.arange(1, len(ranked) + 1)
    # F1 = 2 right / (called + positives); only ends of runs of equal cosines are thresholds
    f1 = 2 * same[order].cumsum() / (called + same.sum())
    ends = np.append(ranked[1:] != ranked[:-1], True)
    at = int(np.where(ends, f1, -1.0).argmax())
    return float(ranked[at] if at + 1 == len(ranked) else (ranked[at] + ranked[at + 1]) / 2)


def paraphrases(
    cosine: NDArray[np.float64],
    same: NDArray[np.bool_],
    train: tuple[NDArray[np.float64], NDArray[np.bool_]] | None = None,
) -> Paraphrases:
    """All figures of one set. `train`: cosines and labels that the best threshold is chosen on instead."""
    chosen = best_threshold(*(train or (cosine, same)))
    return Paraphrases(
        pairs=len(same),
        positives=int(same.sum()),
        mean_cosine_same=float(cosine[same].mean()) if same.any() else None,
        mean_cosine_other=float(cosine[~same].mean()) if not same.all() else None,
        fixed=detect(cosine, same, FIXED),
        best=detect(cosine, same, chosen),
        chosen_on="training pairs" if train else "the measured pairs",
    )
