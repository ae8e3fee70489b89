"""The entries of one index in Elasticsearch: documents and passages by their keys, counts, and requests to it.

Every call may raise BackendError.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.errors import BackendError
from indexer.elastic.connection import Cluster, explained, refusal
from indexer.elastic.requests import document_key, passage_key, vectors_in
from indexer.schema import Document, Keys, Matrix
from indexer.storage.columns import is_hashed

__all__ = ["ClusterEntries", "document_of"]

log = logging.getLogger(__name__)

_PAGE = 1_000  # entries read at a time
_SEARCHES = 64  # in one request


class ClusterEntries:
    """What one index of a cluster holds. A passage's key is the id of its entry, a document's its id."""

    def __init__(self, name: str, cluster: Cluster, index: str, dim: int, shards: int = 1) -> None:
        self.name = name
        self.index = index
        self.shards = shards
        self._cluster = cluster
        self._dim = dim

    @property
    def cluster(self) -> Cluster:
        return self._cluster

    # -- requests ------------------------------------------------------------------------------

    def answer(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Elasticsearch's answer to one search of this index."""
        (answer,) = self.search([dict(body)], [""])
        assert answer is not None
        return answer

    def search(
        self, bodies: Sequence[dict[str, Any] | None], preferences: Sequence[str]
    ) -> list[Mapping[str, Any] | None]:
        """An answer to each search, in the fewest requests; None for none.

        A search that failed is None too, as long as another one was answered.
        """
        answers: list[Mapping[str, Any] | None] = [None] * len(bodies)
        places = [i for i, body in enumerate(bodies) if body is not None]
        failed: str | None = None
        for at in range(0, len(places), _SEARCHES):
            some = places[at : at + _SEARCHES]
            lines: list[Any] = []
            for i in some:
                header: dict[str, Any] = {"index": self.index}
                if preferences[i]:
                    header["preference"] = preferences[i]
                if self.shards > 1 and "query" in (bodies[i] or {}):
                    header["search_type"] = "dfs_query_then_fetch"  # one idf for all shards
                lines += [header, bodies[i]]
            with explained(self._cluster, self.name):
                found = self._cluster.client.msearch(searches=lines)["responses"]
            for i, answer in zip(some, found, strict=True):
                problem = _failure(self._cluster, self.name, answer)
                if problem is None:
                    answers[i] = answer
                else:
                    log.warning("%s", problem)
                    failed = failed or problem
        if failed is not None and not any(answer is not None for answer in answers):
            raise BackendError(failed)
        return answers

    def by_key(
        self, keys: Sequence[str], source: Sequence[str], fields: Sequence[str]
    ) -> dict[str, Mapping[str, Any]]:
        found = {}
        for at in range(0, len(keys), _PAGE):
            part = list(dict.fromkeys(keys[at : at + _PAGE]))
            body = {
                "query": {"terms": {"key": part}},
                "size": len(part),
                "_source": list(source),
                "docvalue_fields": ["key", *fields],
            }
            for hit in self.answer(body)["hits"]["hits"]:
                found[hit["fields"]["key"][0]] = hit
        return found

    def entries(
        self, kind: str, fields: Sequence[str], source: Sequence[str] = ()
    ) -> Iterator[Mapping[str, Any]]:
        """Every document's or passage's entry, by key: as they all were when the first was asked for."""
        client = self._cluster.client
        with explained(self._cluster, self.name):
            point = client.open_point_in_time(index=self.index, keep_alive="5m")["id"]
        try:
            after: list[Any] | None = None
            while True:
                with explained(self._cluster, self.name):
                    answer = client.search(
                        pit={"id": point, "keep_alive": "5m"},
                        query={"term": {"kind": kind}},
                        sort=[{"key": "asc"}],
                        size=_PAGE,
                        search_after=after,
                        source={"includes": list(source)} if source else False,
                        docvalue_fields=[{"field": field} for field in fields],
                        track_total_hits=False,
                    )
                hits = answer["hits"]["hits"]
                yield from hits
                if len(hits) < _PAGE:
                    return
                after, point = hits[-1]["sort"], answer["pit_id"]
        finally:
            with contextlib.suppress(Exception):
                client.close_point_in_time(id=point)

    # -- by document id ------------------------------------------------------------------------

    def documents(self, ids: Sequence[str]) -> dict[str, Document]:
        """The documents there are among these ids."""
        found = self.by_key([document_key(id_) for id_ in ids], ["content", "document"], ["lang"])
        documents = {}
        for hit in found.values():
            id_ = hit["_source"]["document"]
            documents[id_] = document_of(id_, hit)
        return {id_: documents[id_] for id_ in ids if id_ in documents}

    def passage_places(self, keys: Sequence[str]) -> dict[str, tuple[int, int, int]]:
        """Key -> (number, start, end) of each passage in its document's text."""
        found = self.by_key(keys, ["content"], [])
        return {
            key: (hit["_source"]["content"]["number"], *hit["_source"]["content"]["span"])
            for key, hit in found.items()
        }

    def passages(self, ids: Sequence[str]) -> dict[str, Keys]:
        """The keys of the passages of each document that is here, in the order of its text."""
        keys = [document_key(id_) for id_ in ids]
        counts = {
            hit["_source"]["document"]: int(hit["_source"]["passages"])
            for hit in self.by_key(keys, ["document", "passages"], []).values()
        }
        return {
            id_: np.array([passage_key(id_, n) for n in range(counts[id_])], np.str_)
            for id_ in ids
            if id_ in counts
        }

    def hashes(self, document_ids: Sequence[str]) -> dict[str, str]:
        """The content hash that each of these documents was written with, where it is here."""
        found = self.by_key([document_key(id_) for id_ in document_ids], ["document", "hash"], [])
        return {hit["_source"]["document"]: hit["_source"]["hash"] for hit in found.values()}

    def document_ids(self) -> Iterator[str]:
        """The id of every document, in their order."""
        for hit in self.entries("document", ["document"]):
            yield hit["fields"]["document"][0]

    def passage_keys(self) -> Iterator[str]:
        """The key of every passage, ascending."""
        for hit in self.entries("passage", ["key"]):
            yield hit["fields"]["key"][0]

    def all_documents(self) -> Iterator[Document]:
        """Every document, in the order of their ids."""
        ids = self.document_ids()
        while part := list(itertools.islice(ids, _PAGE)):
            yield from self.documents(part).values()

    def vectors(self, keys: Sequence[str]) -> Matrix:
        """(len(keys), dim): the vectors of these passages, as written."""
        dim = self._dim
        found: dict[str, NDArray[np.float32]] = {}
        for at in range(0, len(keys), _PAGE):
            part = list(keys[at : at + _PAGE])
            body = {
                "query": {"terms": {"key": part}},
                "size": len(part),
                "stored_fields": "_none_",
                "docvalue_fields": ["key", "raw"],
            }
            found |= vectors_in(self.answer(body), dim)
        zero = np.zeros(dim, np.float32)
        rows = [found.get(key, zero) for key in keys]
        return np.stack(rows) if rows else np.zeros((0, dim), np.float32)

    # -- counts --------------------------------------------------------------------------------

    def count(self, kind: str) -> int:
        """How many documents or passages can be found."""
        body = {"size": 0, "query": {"term": {"kind": kind}}, "track_total_hits": True}
        return int(self.answer(body)["hits"]["total"]["value"])

    def count_languages(self) -> dict[str, int]:
        """Documents of each language, most first."""
        body = {
            "size": 0,
            "query": {"term": {"kind": "document"}},
            "aggs": {"langs": {"terms": {"field": "lang", "size": 1000}}},
        }
        buckets = self.answer(body)["aggregations"]["langs"]["buckets"]
        return {entry["key"]: int(entry["doc_count"]) for entry in buckets}

    def field_counts(self, name: str, most: int = 10_000) -> dict[str, int]:
        """How many documents have each value of a field, most first; of the 10,000 most frequent ones."""
        prefix = f"{name.casefold()}="
        literal = "".join(c if c.isalnum() else f"\\{c}" for c in prefix)
        values = {"field": "field", "include": f"{literal}.*", "size": min(most, 10_000)}
        body = {
            "size": 0,
            "query": {"term": {"kind": "document"}},
            "aggs": {"values": {"terms": values}},
        }
        buckets = self.answer(body)["aggregations"]["values"]["buckets"]
        counts = {entry["key"].removeprefix(prefix): int(entry["doc_count"]) for entry in buckets}
        found = {value: n for value, n in counts.items() if not is_hashed(value)}
        return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))


def document_of(id_: str, hit: Mapping[str, Any]) -> Document:
    content = hit["_source"]["content"]
    return Document(
        id_,
        content["text"],
        content.get("title", ""),
        content.get("url", ""),
        hit["fields"].get("lang", [""])[0],
        content.get("fields", {}),
    )


def _failure(cluster: Cluster, name: str, answer: Mapping[str, Any]) -> str | None:
    """Why this answer cannot be used: an error, a time-out, or a missing shard."""
    if "error" in answer:
        error = answer["error"]
        cause = (error.get("root_cause") or [error])[0]
        kind, reason = str(cause.get("type", "")), " ".join(str(cause.get("reason", "")).split())
        return refusal(cluster, name, int(answer.get("status", 500)), kind, reason[:300])
    shards = answer.get("_shards", {})
    if shards.get("failed"):
        cause = (shards.get("failures") or [{}])[0].get("reason", {})
        kind, reason = str(cause.get("type", "")), str(cause.get("reason", ""))[:300]
        return refusal(
            cluster, name, 503, kind, f"{shards['failed']} of {shards['total']} shards: {reason}"
        )
    if answer.get("timed_out"):
        return refusal(cluster, name, 503, "timed_out", "the search took too long")
    return None
