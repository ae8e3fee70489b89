"""A collection that remembers its answers: for searching the same queries with many settings.

Tuning puts the same queries with a hundred settings of the fusion; which passages the signals find, and
how they score them, does not depend on those. The retriever is the same, and so is every figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from indexer.schema import Bounds, Collection, Keys, Pool, Query, SignalName, Where

__all__ = ["RememberedPools"]


class RememberedPools:
    """Satisfies `indexer.schema.Collection`; what searching does not ask for is the collection's own.

    Holds every pool in memory: some ten kilobytes a query.
    """

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._pools: dict[object, Pool] = {}
        self._bounds: dict[str, dict[SignalName, Bounds]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)

    def __len__(self) -> int:
        return len(self._collection)

    def pools(
        self,
        queries: Sequence[Query],
        size: int,
        signals: Sequence[SignalName],
        where: Where | None = None,
    ) -> list[Pool]:
        asked = size, tuple(signals), repr(where)
        new = {q.text: q for q in queries if (q.text, asked) not in self._pools}
        if new:
            found = self._collection.pools(list(new.values()), size, signals, where)
            for text, pool in zip(new, found, strict=True):
                self._pools[text, asked] = pool
        return [self._pools[query.text, asked] for query in queries]

    def scored(self, query: Query, keys: Keys, signals: Sequence[SignalName]) -> Pool:
        asked = query.text, tuple(keys.tolist()), tuple(signals)
        if asked not in self._pools:
            self._pools[asked] = self._collection.scored(query, keys, signals)
        return self._pools[asked]

    def bounds(self, query: Query) -> dict[SignalName, Bounds]:
        if query.text not in self._bounds:
            self._bounds[query.text] = dict(self._collection.bounds(query))
        return self._bounds[query.text]
