"""The two sides of an open index, remembering their answers: for searching the same queries many times.

Tuning puts the same queries with a hundred settings of the fusion; what each side found does not depend
on them. The retriever is the same, and so is every figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.folder import IndexFolder
from indexer.schema import Ranking, Where

__all__ = ["RememberingSide", "remembering"]


class RememberingSide:
    """One side (`indexer.schema.Index`); anything but search, score and bounds is the side's own.

    Holds every ranking in memory: some tens of kilobytes a query.
    """

    def __init__(self, side: Any) -> None:
        self._side = side
        self._rankings: dict[tuple[str, int, str], Ranking] = {}
        self._scores: dict[tuple[str, tuple[str, ...]], NDArray[np.float64]] = {}
        self._bounds: dict[str, tuple[float, float]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._side, name)

    def search(self, queries: Sequence[str], k: int, where: Where | None = None) -> list[Ranking]:
        kind = repr(where)
        new = [q for q in dict.fromkeys(queries) if (q, k, kind) not in self._rankings]
        if new:
            for query, ranking in zip(new, self._side.search(new, k, where), strict=True):
                self._rankings[query, k, kind] = ranking
        return [self._rankings[query, k, kind] for query in queries]

    def score(self, query: str, ids: Sequence[str]) -> NDArray[np.float64]:
        key = query, tuple(ids)
        if key not in self._scores:
            self._scores[key] = self._side.score(query, ids)
        return self._scores[key]

    def bounds(self, query: str) -> tuple[float, float]:
        if query not in self._bounds:
            self._bounds[query] = self._side.bounds(query)
        return self._bounds[query]


def remembering(folder: IndexFolder) -> IndexFolder:
    """The same open commit, its sides remembering."""
    dense: Any = RememberingSide(folder.dense)
    lexical: Any = RememberingSide(folder.lexical)
    return IndexFolder(folder.path, folder.manifest, folder.encoder, folder.store, dense, lexical)
