"""Semantic textual similarity: how the cosine of two sentences follows people's grades.

Spearman (the usual figure) and Pearson, in one language and across two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from configs.errors import DocumentError
from eval.sentences.tables import numbers, read_rows, stem
from indexer.schema import Matrix

__all__ = ["Correlation", "Graded", "across", "correlation", "cosines", "joined", "read_graded"]


@dataclass(frozen=True, slots=True)
class Graded:
    """Sentence pairs with a grade each (higher: more alike), row by row."""

    name: str
    first: tuple[str, ...]
    second: tuple[str, ...]
    grades: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Correlation:
    """How cosines follow grades over one set; both coefficients in [-1, 1]."""

    name: str
    pairs: int
    spearman: float
    pearson: float


def read_graded(path: str, columns: Sequence[str] | None = None) -> Graded:
    """Sentence, sentence, grade from a TSV (or `s1`, `s2`, `score` from JSON lines)."""
    rows = read_rows(path, ("s1", "s2", "score"), columns)
    grades = numbers(path, rows, 2, "the grade")
    if len(set(grades)) < 2:
        raise DocumentError(
            f"{path}: every grade is {grades[0]:g}; a correlation needs two at least"
        )
    first, second = (tuple(row.values[side] for row in rows) for side in (0, 1))
    return Graded(stem(path), first, second, tuple(grades))


def across(one: Graded, other: Graded) -> Graded:
    """First sentences of `one` against second sentences of `other`: the same pairs in two languages.

    Raises DocumentError where the two are not the same list of pairs, told by their grades.
    """
    if len(one.grades) != len(other.grades):
        raise DocumentError(
            f"{one.name} has {len(one.grades)} pairs and {other.name} {len(other.grades)}; across "
            "languages both must hold the same pairs in the same order"
        )
    for row, (a, b) in enumerate(zip(one.grades, other.grades, strict=True), start=1):
        if abs(a - b) > 0.01:  # grades are written with two or three decimals
            raise DocumentError(
                f"{one.name} and {other.name} differ at row {row}: grades {a:g} and {b:g}; across "
                "languages both must hold the same pairs in the same order"
            )
    return Graded(f"{one.name} x {other.name}", one.first, other.second, one.grades)


def joined(sets: Sequence[Graded]) -> Graded:
    """All pairs of all sets as one set."""
    return Graded(
        "joined",
        tuple(text for one in sets for text in one.first),
        tuple(text for one in sets for text in one.second),
        tuple(grade for one in sets for grade in one.grades),
    )


def cosines(first: Matrix, second: Matrix) -> NDArray[np.float64]:
    """The cosine of each row with the same row of the other; unit or zero rows. (n, dim) -> (n,)"""
    products: NDArray[np.float64] = np.einsum("nd,nd->n", first, second, dtype=np.float64)
    return products


def correlation(
    name: str, similar: Sequence[float] | NDArray[np.float64], grades: Sequence[float]
) -> Correlation:
    """Spearman (ties at their mean rank) and Pearson of similarities with grades.

    Raises DocumentError where the similarities are all one number: the encoder tells nothing apart.
    """
    from scipy.stats import pearsonr, spearmanr

    values = np.asarray(similar, dtype=np.float64)
    if len(values) < 2 or np.ptp(values) == 0:
        raise DocumentError(f"{name}: every similarity is the same; there is nothing to correlate")
    return Correlation(
        name,
        len(values),
        float(spearmanr(values, grades).statistic),
        float(pearsonr(values, grades).statistic),
    )
