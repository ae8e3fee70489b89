"""How many passages of an index in Elasticsearch hold a term, by language: what bounds a BM25 score."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from indexer.cluster_entries import ClusterEntries
from indexer.elastic.connection import explained
from indexer.elastic.mapping import language_field
from indexer.elastic.requests import Terms, frequencies
from indexer.schema import Query

__all__ = ["ClusterFrequencies"]

_QUERIES = 64  # in one request
_REMEMBERED = 100_000  # words of languages whose frequencies are kept


class ClusterFrequencies:
    """The frequencies of one index; asked for once, kept from then on. Safe to use from several threads."""

    def __init__(self, entries: ClusterEntries) -> None:
        self._entries = entries
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str, str], tuple[int, int]] = {}
        self._routes: list[str] = []

    def of(self, queries: Sequence[Query]) -> list[dict[tuple[str, str, str], tuple[int, int]]]:
        """For each query (stream, term, language) -> passages that hold the term, and passages of the language."""
        with self._lock:
            known = dict(self._known)
        missing = []
        for query in queries:
            terms = [
                term
                for term in query.terms
                if any((term.stream, term.text, lang) not in known for lang in query.likely)
            ]
            if terms:
                missing.append((terms, query.likely))
        for at in range(0, len(missing), _QUERIES):
            known |= self._count(missing[at : at + _QUERIES])
        with self._lock:
            if len(known) > _REMEMBERED:
                self._known.clear()
            else:
                self._known.update(known)
        return [
            {
                (t.stream, t.text, lang): known[t.stream, t.text, lang]
                for t in q.terms
                for lang in q.likely
            }
            for q in queries
        ]

    def _count(
        self, asked: Sequence[tuple[Terms, Sequence[str]]]
    ) -> dict[tuple[str, str, str], tuple[int, int]]:
        """The frequencies of these terms in these languages, summed over the shards."""
        routes = self._every_shard()
        docs = [
            {"_index": self._entries.index, "routing": route, "doc": frequencies(terms, langs)}
            for terms, langs in asked
            for route in routes
        ]
        with explained(self._entries.cluster, self._entries.name):
            answers = self._entries.cluster.client.mtermvectors(
                docs=docs,
                term_statistics=True,
                field_statistics=True,
                positions=False,
                offsets=False,
                payloads=False,
            )["docs"]
        counts: dict[tuple[str, str, str], tuple[int, int]] = {}
        for number, (terms, langs) in enumerate(asked):
            shards = answers[number * len(routes) : (number + 1) * len(routes)]
            fields = [shard.get("term_vectors", {}) for shard in shards]
            for term in terms:
                for lang in langs:
                    key = term.stream, term.text, lang
                    counts[key] = _frequency(
                        fields, f"{term.stream}.{language_field(lang)}", term.text
                    )
        return counts

    def _every_shard(self) -> list[str]:
        """A routing value that leads to each shard."""
        if self._entries.shards == 1:
            return ["0"]
        if not self._routes:
            routes: dict[int, str] = {}
            for number in range(64 * self._entries.shards):
                with explained(self._entries.cluster, self._entries.name):
                    found = self._entries.cluster.client.search_shards(
                        index=self._entries.index, routing=str(number)
                    )
                routes.setdefault(int(found["shards"][0][0]["shard"]), str(number))
                if len(routes) == self._entries.shards:
                    break
            self._routes = list(routes.values())
        return self._routes


def _frequency(shards: Sequence[Mapping[str, Any]], field: str, term: str) -> tuple[int, int]:
    """Passages that hold the term, and passages that have the field at all."""
    holding = total = 0
    for fields in shards:
        entry = fields.get(field, {})
        holding += int(entry.get("terms", {}).get(term, {}).get("doc_freq", 0))
        total += max(0, int(entry.get("field_statistics", {}).get("doc_count", 0)))
    return holding, total
