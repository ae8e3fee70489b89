"""The reference search by words: rank_bm25 over the same two streams, for small collections and tests.

It keeps nothing on disk; an index of this backend analyses its documents again when it is opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.schema import Bounds, Candidates, Keys, Query, Scores, Where
from indexer.search.filters import RowFilters
from indexer.search.lexical import K1, bound, by_language, idf
from indexer.text.analysis import Analysis

__all__ = ["RankBM25Index"]


def _okapi(corpus: list[list[str]]) -> Any:
    """BM25Okapi with Lucene's idf, ln(1 + (N - n + 0.5) / (n + 0.5)), which is never negative."""
    from rank_bm25 import BM25Okapi

    class Okapi(BM25Okapi):  # type: ignore[misc]
        def _calc_idf(self, nd: dict[str, int]) -> None:
            self.nd = nd
            for word, n in nd.items():
                self.idf[word] = idf(n, self.corpus_size)

    return Okapi(corpus, k1=K1, b=0.75)


class RankBM25Index:
    """BM25 over passages; keys are row numbers. Satisfies `indexer.schema.Index`."""

    def __init__(
        self, rows: NDArray[np.int64], streams: Mapping[str, Any], filters: RowFilters
    ) -> None:
        """`rows` ascending; `streams`: the model of words and of stems, None where there is no passage."""
        self._rows = rows
        self._streams = streams
        self._filters = filters

    @classmethod
    def build(cls, passages: Iterable[tuple[int, Analysis]], filters: RowFilters) -> RankBM25Index:
        """Index passages, given by row in ascending order."""
        found = list(passages)
        streams = {
            "words": _okapi([a.words.split() for _, a in found]) if found else None,
            "stems": _okapi([a.stems.split() for _, a in found]) if found else None,
        }
        return cls(np.array([row for row, _ in found], np.int64), streams, filters)

    def _scores(self, query: Query) -> Scores:
        total = np.zeros(len(self._rows))
        terms = by_language(query.terms, self._frequency, len(self._rows), self._spoken(query))
        for stream, term, weight in terms:
            model = self._streams[stream]
            if model is not None:
                total += weight * model.get_scores([term])
        return np.round(total, 4)

    def search(self, query: Query, k: int, where: Where | None = None) -> Candidates:
        scores = self._scores(query)
        allowed = scores > 0
        passing = self._filters.allowed(where) if where else None
        if passing is not None:
            allowed &= passing.marks[self._rows]
        rows, scores = self._rows[allowed], scores[allowed]
        order = np.lexsort((rows, -scores))[:k]
        return Candidates(rows[order], scores[order])

    def holding(self, groups: Sequence[Sequence[str]]) -> NDArray[np.int64]:
        """The rows of all passages whose words as written hold one term of each group."""
        model = self._streams["words"]
        held = [] if model is None else model.doc_freqs
        found = [any(term in words for term in group) for words in held for group in groups]
        marks = np.array(found, np.bool_).reshape(len(held), len(groups)).all(axis=1)
        return self._rows[marks]

    def search_many(
        self, queries: Sequence[Query], k: int, where: Where | None = None
    ) -> list[Candidates]:
        return [self.search(query, k, where) for query in queries]

    def score(self, query: Query, keys: Keys) -> Scores:
        if not len(self._rows):
            return np.zeros(len(keys))
        places = np.minimum(np.searchsorted(self._rows, keys), len(self._rows) - 1)
        return np.where(self._rows[places] == keys, self._scores(query)[places], 0.0)

    def bounds(self, query: Query) -> Bounds:
        """(0, `indexer.search.lexical.bound` of the query)."""
        return 0.0, bound(query.counted, self._frequency, self._spoken(query))

    def _frequency(self, stream: str, term: str) -> int:
        """How many passages have the term."""
        model = self._streams[stream]
        return int(model.nd.get(term, 0)) if model is not None else 0

    def _spoken(self, query: Query) -> int:
        """Passages in the languages that the query may be in; all, where it is in none of the index."""
        allowed = self._filters.allowed(Where(frozenset(query.likely)))
        return allowed.count if allowed is not None and allowed.count else len(self._rows)
