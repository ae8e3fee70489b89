"""Linear probes: how much of a label does a sentence's vector carry?

Logistic regression on frozen vectors (scikit-learn), stratified folds or a given test set, macro-F1: the
way CFD sentiment, CTDC topics and Bengali hate speech are measured. Any file of label and text will do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from configs.errors import DocumentError, MissingExtra
from eval.sentences.tables import read_rows
from indexer.schema import Matrix

__all__ = ["Classified", "Fold", "Probe", "cross_validated", "held_out", "read_classified"]

ITERATIONS = 2000  # lbfgs steps; unit vectors need a few hundred


@dataclass(frozen=True, slots=True)
class Classified:
    """Texts with a class each."""

    labels: tuple[str, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fold:
    """One test set's figures, each in [0, 1]."""

    macro_f1: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Probe:
    """Mean over folds, and their standard deviation (0 for one test set)."""

    texts: int
    classes: dict[str, int]
    """Texts of each class, most first."""
    folds: tuple[Fold, ...]
    macro_f1: float
    macro_f1_deviation: float
    accuracy: float
    majority: float
    """Accuracy of always saying the most frequent class: the floor."""


def read_classified(path: str, columns: Sequence[str] | None = None) -> Classified:
    """`label` and `text`. Raises DocumentError where there is only one class."""
    rows = read_rows(path, ("label", "text"), columns)
    found = Classified(tuple(row.values[0] for row in rows), tuple(row.values[1] for row in rows))
    if len(set(found.labels)) < 2:
        raise DocumentError(
            f"{path}: every label is {found.labels[0]!r}; a probe needs two classes at least "
            "(choose the columns with --columns label,text)"
        )
    return found


def cross_validated(
    vectors: Matrix, labels: Sequence[str], folds: int = 5, seed: int = 0, strength: float = 1.0
) -> Probe:
    """Stratified folds, shuffled by `seed`. `vectors` (n, dim); `strength` is scikit-learn's C.

    Raises DocumentError for a class with fewer texts than folds.
    """
    _need_sklearn()
    from sklearn.model_selection import StratifiedKFold

    rarest, count = min(Counter(labels).items(), key=lambda entry: (entry[1], entry[0]))
    if count < folds:
        fewer = f"ask for --folds {count} or " if count > 1 else ""
        noun = "text" if count == 1 else "texts"
        raise DocumentError(
            f"the class {rarest!r} has {count} {noun}, fewer than the {folds} folds; {fewer}leave the class out"
        )
    truth = np.array(labels)
    splits = StratifiedKFold(folds, shuffle=True, random_state=seed).split(vectors, truth)
    found = [
        _fold(vectors[train], truth[train], vectors[test], truth[test], strength)
        for train, test in splits
    ]
    return _probe(labels, found)


def held_out(
    train: Matrix,
    train_labels: Sequence[str],
    test: Matrix,
    test_labels: Sequence[str],
    strength: float = 1.0,
) -> Probe:
    """One training set and one test set, as a collection's own split asks for.

    Raises DocumentError for a test label that the training set does not have.
    """
    _need_sklearn()
    if unknown := sorted(set(test_labels) - set(train_labels)):
        raise DocumentError(
            f"the test labels {', '.join(unknown)} stand nowhere in the training set"
        )
    fold = _fold(train, np.array(train_labels), test, np.array(test_labels), strength)
    return _probe(test_labels, [fold])


def _fold(
    train: Matrix,
    train_labels: np.typing.NDArray[np.str_],
    test: Matrix,
    test_labels: np.typing.NDArray[np.str_],
    strength: float,
) -> Fold:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import accuracy_score, f1_score

    model = LogisticRegression(C=strength, max_iter=ITERATIONS).fit(train, train_labels)
    said = model.predict(test)
    # a class that is neither in the test set nor ever said does not count
    macro = f1_score(test_labels, said, average="macro", zero_division=0)
    return Fold(float(macro), float(accuracy_score(test_labels, said)))


def _probe(labels: Sequence[str], folds: Sequence[Fold]) -> Probe:
    counts = dict(Counter(labels).most_common())
    scores = np.array([fold.macro_f1 for fold in folds])
    return Probe(
        texts=len(labels),
        classes=counts,
        folds=tuple(folds),
        macro_f1=float(scores.mean()),
        macro_f1_deviation=float(scores.std()),
        accuracy=float(np.mean([fold.accuracy for fold in folds])),
        majority=max(counts.values()) / len(labels),
    )


def _need_sklearn() -> None:
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise MissingExtra("scikit-learn", "eval", "a linear probe") from error
