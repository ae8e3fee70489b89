"""The classification probe of Bednář et al. 2023 (CFD): a small head on frozen vectors, its learning rate chosen.

After the authors' code (seznam/czech-semantic-embedding-models, evaluate_facebook.py, head only): ten folds that are not
stratified, a tenth of each training part held out, four epochs of AdamW in batches of 32 with the rate falling to
zero, each of five rates over all folds. The rate with the best mean macro-F1 on the held-out tenths is taken, and its mean on the
test parts is the figure. The head is that of BERT for classification: a layer with tanh, dropout, a layer to the classes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from configs.errors import DocumentError, MissingExtra
from indexer.schema import Matrix

__all__ = ["RATES", "HeadProbe", "head_probe"]

RATES = (5e-4, 1e-3, 2e-3, 5e-3, 1e-2)
EPOCHS, BATCH, DROPOUT = 4, 32, 0.1
HELD_OUT = 0.1


@dataclass(frozen=True, slots=True)
class HeadProbe:
    """Macro-F1 on the test parts at the chosen rate, the mean over folds and the standard deviation, in [0, 1]."""

    texts: int
    classes: dict[str, int]
    """Texts of each class, most first."""
    rate: float
    by_rate: dict[str, float]
    """Mean macro-F1 on the held-out tenths, by which the rate was chosen."""
    folds: tuple[float, ...]
    macro_f1: float
    macro_f1_deviation: float
    majority: float
    """Accuracy of always saying the most frequent class."""


def head_probe(
    vectors: Matrix, labels: Sequence[str], folds: int = 10, seed: int = 42
) -> HeadProbe:
    """`vectors` (n, dim), with the class of each. Raises DocumentError for fewer than 20 texts, or 2 a fold."""
    try:
        import torch
        from sklearn.model_selection import KFold, train_test_split
    except ImportError as error:
        raise MissingExtra(error.name or "scikit-learn", "eval", "a classification head") from error
    if len(labels) < max(2 * folds, 20):
        raise DocumentError(
            f"{len(labels)} texts are too few for {folds} folds with a tenth of each held out; 20 at least are needed"
        )
    counts = Counter(labels)
    names = sorted(counts)
    truth = np.array([names.index(label) for label in labels])
    splits = []
    for train, test in KFold(folds, shuffle=True, random_state=seed).split(vectors):
        kept, dev = train_test_split(train, test_size=HELD_OUT, random_state=seed)
        splits.append((kept, dev, test))
    on_dev, on_test = np.zeros((len(RATES), folds)), np.zeros((len(RATES), folds))
    with torch.random.fork_rng():
        for row, rate in enumerate(RATES):
            for fold, (train, dev, test) in enumerate(splits):
                torch.manual_seed(seed)
                said = _said(vectors, truth, train, len(names), rate)
                on_dev[row, fold], on_test[row, fold] = (
                    _macro_f1(truth, said, part) for part in (dev, test)
                )
    best = int(on_dev.mean(axis=1).argmax())
    return HeadProbe(
        texts=len(labels),
        classes=dict(counts.most_common()),
        rate=RATES[best],
        by_rate={
            f"{rate:g}": float(mean) for rate, mean in zip(RATES, on_dev.mean(axis=1), strict=True)
        },
        folds=tuple(on_test[best].tolist()),
        macro_f1=float(on_test[best].mean()),
        macro_f1_deviation=float(on_test[best].std()),
        majority=counts.most_common(1)[0][1] / len(labels),
    )


def _said(
    vectors: Matrix, truth: NDArray[np.int64], train: NDArray[np.int64], classes: int, rate: float
) -> NDArray[np.int64]:
    """The class of every text, by a head trained on the rows `train`."""
    import torch
    from torch import nn

    dim = vectors.shape[1]
    head = nn.Sequential(
        nn.Linear(dim, dim), nn.Tanh(), nn.Dropout(DROPOUT), nn.Linear(dim, classes)
    )
    optimizer = torch.optim.AdamW(head.parameters(), rate)
    given, wanted = torch.from_numpy(vectors[train]), torch.from_numpy(truth[train])
    steps = EPOCHS * -(-len(train) // BATCH)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    for _ in range(EPOCHS):
        for rows in torch.split(torch.randperm(len(train)), BATCH):
            loss = nn.functional.cross_entropy(head(given[rows]), wanted[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    head.train(False)  # no dropout from here on
    with torch.no_grad():
        found: NDArray[np.int64] = head(torch.from_numpy(vectors)).argmax(dim=1).numpy()
    return found


def _macro_f1(truth: NDArray[np.int64], said: NDArray[np.int64], rows: NDArray[np.int64]) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(truth[rows], said[rows], average="macro", zero_division=0))
