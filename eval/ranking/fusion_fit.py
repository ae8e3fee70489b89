"""Fits the learned fusion (`retriever.learned_fusion`) on judged queries: a logistic regression on their pools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from configs.errors import DocumentError
from indexer.schema import SignalName
from retriever.learned_fusion import Weights, features
from retriever.retriever import Retriever

__all__ = ["JudgedPool", "Part", "fit", "judged_pools"]

SIGNALS: tuple[SignalName, ...] = ("dense", "lexical", "alignment")
RIDGE = 0.05
"""L2 penalty on the standardised features, divided by the number of queries."""
FEWEST = 10
"""Queries with a relevant passage in their pool, below which nothing is fitted."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class JudgedPool:
    """The passages that one query's signals found: features (n, len(FEATURES)), grades (n,) and document ids (n,)."""

    query: str
    found: Floats
    grades: Floats
    ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class Part:
    """The pools of one collection, and how much it weighs in a fit."""

    pools: Sequence[JudgedPool]
    weight: float = 1.0


def judged_pools(
    retriever: Retriever,
    texts: Mapping[str, str],
    qrels: Mapping[str, Mapping[str, float]],
    size: int = 100,
) -> list[JudgedPool]:
    """The pool of each query: `size` passages of each signal. `texts`: query id -> text. An empty pool is left out."""
    index = retriever.collection
    queries = index.queries(list(texts.values()))
    found = []
    for name, query in zip(texts, queries, strict=True):
        pool = index.pools([query], size, SIGNALS)[0]
        if not len(pool.keys):
            continue
        ids = index.ids(index.documents_of(pool.keys))
        rows = features(
            pool.scores["dense"],
            pool.scores["lexical"],
            index.bounds(query)["lexical"],
            np.isin(index.languages_of(pool.keys), query.own),
            pool.scores.get("alignment"),
        )
        grades = [max(0.0, qrels[name].get(id_, 0)) for id_ in ids]
        found.append(JudgedPool(name, rows, np.array(grades, float), ids))
    return found


def fit(parts: Sequence[Part]) -> Weights:
    """The weights of least log-loss with an L2 penalty. Every part weighs the same, and in it every query.

    Queries without a relevant passage in their pool teach nothing and are left out; DocumentError when fewer than
    FEWEST are left.
    """
    from scipy.optimize import minimize

    rows, right, weights = [], [], []
    for part in parts:
        useful = [pool for pool in part.pools if pool.grades.any()]
        for pool in useful:
            rows.append(pool.found)
            right.append((pool.grades > 0).astype(float))
            weights.append(np.full(len(pool.grades), part.weight / len(pool.grades) / len(useful)))
    if len(rows) < FEWEST:
        raise DocumentError(
            f"{len(rows)} queries find a relevant passage, and {FEWEST} are needed to fit the fusion; judge more queries"
        )
    x, y, w = np.concatenate(rows), np.concatenate(right), np.concatenate(weights)
    w /= w.sum()
    mean = w @ x
    spread = np.sqrt(w @ (x - mean) ** 2) + 1e-9
    z = (x - mean) / spread
    penalty = RIDGE / len(rows)

    def loss(b: Floats) -> tuple[float, Floats]:
        odds = z @ b[1:] + b[0]
        off = w * (1 / (1 + np.exp(-odds)) - y)
        value = float(w @ (np.logaddexp(0, odds) - y * odds) + penalty * (b[1:] @ b[1:]))
        return value, np.r_[off.sum(), z.T @ off + 2 * penalty * b[1:]]

    found = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B").x
    of = found[1:] / spread
    return Weights(float(found[0] - of @ mean), [float(value) for value in of])
