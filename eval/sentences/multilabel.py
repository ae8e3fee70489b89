"""Linear probes of texts with several labels each, as CTDC's topics have: micro-F1 at a threshold that is chosen.

Follows Bednář et al. 2023 (seznam/czech-semantic-embedding-models, evaluate_ctdc.py): folds that are not stratified, a
tenth of each training part held out, one threshold of 50 for all folds by the mean micro-F1 there. The classifier is
logistic regression for each label (scikit-learn), where they train one linear layer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from configs.errors import DocumentError, MissingExtra
from eval.sentences.tables import read_rows
from indexer.schema import Matrix

__all__ = ["Labelled", "MultiFold", "MultiProbe", "multilabel_probe", "read_multilabel"]

ITERATIONS = 2000  # lbfgs steps
THRESHOLDS = np.linspace(0.0, 1.0, 50)
HELD_OUT = 0.1  # of a fold's training part, by which the threshold is chosen


@dataclass(frozen=True, slots=True)
class Labelled:
    """Texts with the labels of each; a text may have none, where a separator stands alone."""

    labels: tuple[frozenset[str], ...]
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MultiFold:
    """One test set's figures, each in [0, 1]."""

    micro_f1: float
    macro_f1: float


@dataclass(frozen=True, slots=True)
class MultiProbe:
    """Mean over folds, and the standard deviation of micro-F1."""

    texts: int
    labels: dict[str, int]
    """Texts of each label, most first."""
    folds: tuple[MultiFold, ...]
    threshold: float
    """Probability from which a label is given."""
    micro_f1: float
    micro_f1_deviation: float
    macro_f1: float
    majority: float
    """Micro-F1 of always giving the most frequent label alone."""


def read_multilabel(
    path: str, separator: str = ",", columns: Sequence[str] | None = None
) -> Labelled:
    """`label`, with `separator` between the labels, and `text`. DocumentError where there is only one label."""
    rows = read_rows(path, ("label", "text"), columns)
    labels = tuple(
        frozenset(part.strip() for part in row.values[0].split(separator) if part.strip())
        for row in rows
    )
    named = frozenset().union(*labels)
    if len(named) < 2:
        raise DocumentError(
            f"{path}: {len(named)} label in all, but a probe needs two at least; are the labels of a text divided by "
            f"{separator!r} (--separator)? The columns are chosen with --columns label,text"
        )
    return Labelled(labels, tuple(row.values[1] for row in rows))


def multilabel_probe(
    vectors: Matrix,
    labels: Sequence[frozenset[str]],
    folds: int = 5,
    seed: int = 42,
    strength: float = 1.0,
) -> MultiProbe:
    """`vectors` (n, dim), with the labels of each; folds are shuffled by `seed`. `strength` is scikit-learn's C.

    Raises DocumentError for fewer texts than folds can be made of.
    """
    try:
        from sklearn.metrics import f1_score
        from sklearn.model_selection import KFold, train_test_split
    except ImportError as error:
        raise MissingExtra("scikit-learn", "eval", "a linear probe") from error
    if len(labels) < max(2 * folds, 20):
        raise DocumentError(
            f"{len(labels)} texts are too few for {folds} folds with a tenth of each held out; 20 at least are needed"
        )
    counts = Counter(label for one in labels for label in one)
    names = sorted(counts)
    truth = np.array([[name in one for name in names] for one in labels])  # (n, labels)
    chosen = np.zeros(len(THRESHOLDS))
    tested = []
    for train, test in KFold(folds, shuffle=True, random_state=seed).split(vectors):
        train, dev = train_test_split(train, test_size=HELD_OUT, random_state=seed)
        on_dev, on_test = _chances(
            vectors[train], truth[train], (vectors[dev], vectors[test]), strength
        )
        chosen += [
            f1_score(truth[dev], on_dev >= at, average="micro", zero_division=0)
            for at in THRESHOLDS
        ]
        tested.append((truth[test], on_test))
    threshold = float(THRESHOLDS[int(chosen.argmax())])
    found = tuple(
        MultiFold(
            *(
                float(f1_score(true, chances >= threshold, average=kind, zero_division=0))
                for kind in ("micro", "macro")
            )
        )
        for true, chances in tested
    )
    micro = np.array([fold.micro_f1 for fold in found])
    floor = np.zeros_like(truth)
    floor[:, names.index(counts.most_common(1)[0][0])] = True
    return MultiProbe(
        texts=len(labels),
        labels=dict(counts.most_common()),
        folds=found,
        threshold=threshold,
        micro_f1=float(micro.mean()),
        micro_f1_deviation=float(micro.std()),
        macro_f1=float(np.mean([fold.macro_f1 for fold in found])),
        majority=float(f1_score(truth, floor, average="micro", zero_division=0)),
    )


def _chances(
    train: Matrix, truth: NDArray[np.bool_], others: Sequence[Matrix], strength: float
) -> list[NDArray[np.float64]]:
    """For each of the `others` the probability of each label, (rows, labels)."""
    from sklearn.linear_model import LogisticRegression

    found = [np.zeros((len(rows), truth.shape[1])) for rows in others]
    for label in range(truth.shape[1]):
        known = truth[:, label]
        if known.all() or not known.any():  # nothing to be learned: as it always is
            for chances in found:
                chances[:, label] = float(known.all())
            continue
        model = LogisticRegression(C=strength, max_iter=ITERATIONS).fit(train, known)
        for chances, rows in zip(found, others, strict=True):
            chances[:, label] = model.predict_proba(rows)[:, 1]
    return found
