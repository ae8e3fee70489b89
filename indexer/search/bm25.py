"""The reference search by words: rank_bm25 over the same two streams, for small collections and tests.

It keeps nothing on disk; an index of this backend analyses its documents again when it is opened.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.schema import Ranking, Where
from indexer.search.lexical import K1, likely
from indexer.storage.store import Store
from indexer.text.analysis import Analysis, weighted_terms

__all__ = ["RankBM25Index"]


def _okapi(corpus: list[list[str]]) -> Any:
    """BM25Okapi with Lucene's idf, ln(1 + (N - n + 0.5) / (n + 0.5)), which is never negative."""
    from rank_bm25 import BM25Okapi

    class Okapi(BM25Okapi):  # type: ignore[misc]
        def _calc_idf(self, nd: dict[str, int]) -> None:
            for word, n in nd.items():
                self.idf[word] = math.log1p((self.corpus_size - n + 0.5) / (n + 0.5))

    return Okapi(corpus, k1=K1, b=0.75)


class RankBM25Index:
    """BM25 over passages; ids are row numbers as strings. Satisfies `indexer.schema.Index`."""

    def __init__(
        self,
        passages: Iterable[tuple[int, Analysis]],
        store: Store,
        langs: Sequence[str],
        word_weight: float,
    ) -> None:
        found = list(passages)
        self._rows = [row for row, _ in found]
        self._place = {row: i for i, row in enumerate(self._rows)}
        self._streams = {
            "words": _okapi([a.words.split() for _, a in found]) if found else None,
            "stems": _okapi([a.stems.split() for _, a in found]) if found else None,
        }
        self._store = store
        self._langs = tuple(langs)
        self._word_weight = word_weight

    def _terms(self, query: str) -> list[tuple[str, str, float]]:
        return weighted_terms(query, likely(query, self._langs), self._word_weight)

    def _scores(self, query: str) -> NDArray[np.float64]:
        total = np.zeros(len(self._rows))
        for stream, term, weight in self._terms(query):
            model = self._streams[stream]
            if model is not None:
                total += weight * model.get_scores([term])
        return np.round(total, 4)

    def search(self, queries: Sequence[str], k: int, where: Where | None = None) -> list[Ranking]:
        rankings = []
        for query in queries:
            scores = self._scores(query)
            allowed = scores > 0
            if where is not None and self._rows:
                passages = self._store.passages
                rows = np.array(self._rows)
                if where.langs:
                    allowed &= np.isin(
                        passages["lang"][rows], [lang.encode() for lang in where.langs]
                    )
                for name, value in where.fields.items():
                    allowed &= self._store.rows_with_field(name, value)[rows]
            found = [(str(self._rows[i]), float(scores[i])) for i in np.flatnonzero(allowed)]
            rankings.append(sorted(found, key=lambda hit: (-hit[1], int(hit[0])))[:k])
        return rankings

    def score(self, query: str, ids: Sequence[str]) -> NDArray[np.float64]:
        scores = self._scores(query)
        places = [self._place.get(int(id_), -1) for id_ in ids]
        return np.array([scores[place] if place >= 0 else 0.0 for place in places])

    def bounds(self, query: str) -> tuple[float, float]:
        """(0, the BM25 that no passage can exceed); see `LexicalIndex.bounds`."""
        total = 0.0
        unseen = math.log1p((len(self._rows) + 0.5) / 0.5)
        for stream, term, weight in self._terms(query):
            model = self._streams[stream]
            known = model.idf if model is not None else {}
            total += weight * known.get(term, unseen) * (K1 + 1)
        return 0.0, total
