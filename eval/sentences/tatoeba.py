"""Tatoeba: is a sentence's nearest neighbour on the other side its own translation?

Artetxe and Schwenk 2019 (the sets), Reimers and Gurevych 2020, section 4.3 (accuracy, both ways).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eval.sentences.tables import read_rows, stem
from indexer.schema import Matrix
from indexer.vectors import translation_accuracy

__all__ = ["Accuracy", "accuracy", "macro", "read_pairs"]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Shares of right translations of one set, each in [0, 1]."""

    name: str
    pairs: int
    forward: float
    """First column to second."""
    backward: float
    """Second column to first."""
    mean: float


def read_pairs(path: str, columns: Sequence[str] | None = None) -> tuple[list[str], list[str]]:
    """Two columns of sentences; those of one line are translations of each other."""
    rows = read_rows(path, ("source", "target"), columns)
    return [row.values[0] for row in rows], [row.values[1] for row in rows]


def accuracy(name: str, source: Matrix, target: Matrix) -> Accuracy:
    """Both directions by cosine, over exactly these pairs: row i belongs to row i."""
    forward, backward = translation_accuracy(source, target)
    return Accuracy(stem(name), len(source), forward, backward, (forward + backward) / 2)


def macro(found: Sequence[Accuracy]) -> Accuracy:
    """Every set counts the same, whatever its size."""
    n = len(found)
    return Accuracy(
        "mean",
        sum(one.pairs for one in found),
        sum(one.forward for one in found) / n,
        sum(one.backward for one in found) / n,
        sum(one.mean for one in found) / n,
    )
