"""Word alignment over an index in Elasticsearch: the tokens of the passages are read from it, and scored here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.elastic.requests import tokens_in
from indexer.encoders.static_encoder import StaticEncoder
from indexer.encoders.token_vectors import TokenTable
from indexer.schema import Keys
from indexer.search.alignment import SAMPLE, Alignment
from indexer.storage.passage_tokens import TokenSets

__all__ = ["ClusterAlignment", "ClusterTokens"]

_TOGETHER = 1_000  # passages in a request
_KEPT = 20_000  # passages whose tokens are kept

Ask = Callable[[Mapping[str, Any]], Mapping[str, Any]]  # one search of the index


class ClusterTokens:
    """The tokens of passages by key; those of the last searches are kept. A passage without any has none."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._kept: dict[str, NDArray[np.int32]] = {}
        self._lock = threading.Lock()

    def take(self, rows: Keys) -> TokenSets:
        found = self._of(rows.tolist())
        none = np.zeros(0, np.int32)
        sets = [found.get(key, none) for key in rows.tolist()]
        borders = np.cumsum([0, *map(len, sets)], dtype=np.int64)
        return TokenSets(np.concatenate(sets) if sets else none, borders)

    def _of(self, keys: Sequence[str]) -> dict[str, NDArray[np.int32]]:
        with self._lock:
            found = {key: self._kept[key] for key in keys if key in self._kept}
        missing = list(dict.fromkeys(key for key in keys if key not in found))
        for at in range(0, len(missing), _TOGETHER):
            part = missing[at : at + _TOGETHER]
            found |= tokens_in(self._ask(_body({"terms": {"key": part}}, len(part))))
        with self._lock:
            if len(self._kept) > _KEPT:
                self._kept.clear()
            self._kept.update(found)
        return found

    def sample(self, count: int) -> Keys:
        """The keys of passages picked at random, the same ones every time."""
        by_chance = {"random_score": {"seed": 0, "field": "_seq_no"}}
        query = {"function_score": {"query": {"term": {"kind": "passage"}}, **by_chance}}
        return np.array(sorted(tokens_in(self._ask(_body(query, count)))), np.str_)


def _body(query: Mapping[str, Any], size: int) -> dict[str, Any]:
    return {
        "query": query,
        "size": size,
        "stored_fields": "_none_",
        "docvalue_fields": ["key", "tokens"],
    }


class ClusterAlignment(Alignment):
    """`Alignment` of an index in a cluster; keys are those of its passages."""

    def __init__(self, tokens: ClusterTokens, student: StaticEncoder, table: TokenTable) -> None:
        super().__init__(tokens, np.zeros(0, np.bool_), student, table)
        self.tokens = tokens

    def _sample_rows(self, rng: np.random.Generator) -> Keys:
        return self.tokens.sample(SAMPLE)
