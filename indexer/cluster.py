"""An index in Elasticsearch, read: both searches, exact scores, documents, counts.

Opened at the index that the alias NAME leads to; a rebuild moves the alias to another one, and
`is_current` says so. Every call may raise BackendError; none needs more of a server than its search.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.errors import BackendError
from configs.settings import ElasticsearchSettings
from indexer.elastic.address import name_in
from indexer.elastic.connection import Cluster, connect, explained, refusal
from indexer.elastic.mapping import Note, differences, language_field, note_in
from indexer.elastic.requests import (
    LARGEST,
    Found,
    Terms,
    by_meaning,
    by_words,
    document_key,
    found_in,
    frequencies,
    passage_key,
    searched_languages,
    vectors_in,
)
from indexer.encoders.opening import open_encoder
from indexer.schema import Document, Encoder, Matrix, Where
from indexer.text import languages

__all__ = ["Asked", "ClusterIndex", "resolved"]

_PAGE = 1_000  # entries read at a time
_SEARCHES = 64  # in one request
_REMEMBERED = 4_096  # words whose frequency is kept
_NONE = Found([], [], [], np.zeros(0))


@dataclass(frozen=True, slots=True)
class Asked:
    """One query as the cluster needs it: what to look for by words, in which languages, and by meaning."""

    terms: Terms
    langs: Sequence[str]
    """Languages whose words are searched."""
    vector: NDArray[np.float32]
    """(dim,) of unit length, or all zero."""


def resolved(cluster: Cluster, name: str) -> tuple[str, Mapping[str, Any]]:
    """The index behind the alias NAME and its mapping. BackendError when there is none."""
    with explained(cluster, name):
        found = cluster.client.indices.get(index=name, expand_wildcards="none").body
    (index, entry), *others = found.items()
    if others:
        raise BackendError(
            f"es://{name} at {cluster.hosts}: the alias leads to {len(found)} indices ({', '.join(sorted(found))}); "
            "leave it on one of them"
        )
    return index, entry


class ClusterIndex:
    """One index of a cluster, open for searching. Safe to use from several threads."""

    def __init__(
        self,
        name: str,
        cluster: Cluster,
        index: str,
        note: Note,
        encoder: Encoder,
        shards: int,
    ) -> None:
        self.name = name
        self.encoder = encoder
        self.note = note
        self.index = index
        self._cluster = cluster
        self._shards = shards
        self._counts: dict[str, int] = {}
        self._routes: list[str] = []
        self._frequencies: OrderedDict[tuple[str, str, str], tuple[int, int]] = OrderedDict()
        self._lock = threading.Lock()

    @classmethod
    def open(
        cls,
        address: str,
        encoder: Encoder | None = None,
        settings: ElasticsearchSettings | None = None,
        device: str = "auto",
    ) -> ClusterIndex:
        """The index at `es://NAME`. `encoder` None: the one it was written with, opened again.

        Raises BackendError when the cluster or the index is not there or not as Tandem made it, or is of
        another encoder.
        """
        name = name_in(address)
        cluster = connect(settings)
        index, entry = resolved(cluster, name)
        note = note_in(entry["mappings"], address)
        problems = differences(entry["mappings"], note.encoder.dim)
        if problems:
            raise BackendError(
                f"{address}: its mapping is not as Tandem made it: {'; '.join(problems)}; build it again"
            )
        if encoder is None:
            encoder = open_encoder(
                note.encoder.model,
                device=device,
                query_prompt=note.encoder.query_prompt,
                passage_prompt=note.encoder.passage_prompt,
            )
        if encoder.fingerprint != note.encoder.fingerprint:
            raise BackendError(
                f"{address}: written with the encoder {note.encoder.name} (fingerprint {note.encoder.fingerprint}), "
                f"not with {encoder.name} (fingerprint {encoder.fingerprint}); open it with that one, or build it again"
            )
        shards = int(entry["settings"]["index"]["number_of_shards"])
        opened = cls(name, cluster, index, note, encoder, shards)
        opened._counts = opened.count_languages()
        return opened

    @property
    def address(self) -> str:
        return f"es://{self.name}"

    @property
    def cluster(self) -> Cluster:
        return self._cluster

    @property
    def languages(self) -> list[str]:
        """Languages of its documents, most first."""
        return list(self._counts)

    def __len__(self) -> int:
        """Documents that can be found."""
        return sum(self._counts.values())

    def close(self) -> None:
        self._cluster.client.close()

    def is_current(self) -> bool:
        """Whether the alias still leads to this index, unchanged."""
        index, entry = resolved(self._cluster, self.name)
        return index == self.index and note_in(entry["mappings"], self.address) == self.note

    def check_where(self, where: Where | None) -> None:
        """Raises ConfigError for a filter on a language nobody knows."""
        if where is not None:
            languages.check(where.langs)

    # -- searching -----------------------------------------------------------------------------

    def asked(self, terms: Terms, likely: Sequence[str], vector: NDArray[np.float32]) -> Asked:
        return Asked(terms, searched_languages(terms, self.languages, likely), vector)

    def candidates(
        self,
        queries: Sequence[Asked],
        k: int,
        words: bool = True,
        meaning: bool = True,
        where: Where | None = None,
    ) -> list[tuple[Found, Found]]:
        """The k best passages of each query by words and by meaning, all in one request.

        Where one of the two searches fails, the other's passages are given and its own are none; when
        both fail, BackendError.
        """
        bodies: list[dict[str, Any] | None] = []
        for query in queries:
            bodies.append(
                by_words(query.terms, query.langs, k, where)
                if words and query.terms and query.langs
                else None
            )
            bodies.append(
                by_meaning(query.vector, k, self._cluster.settings.oversample, where)
                if meaning and query.vector.any()
                else None
            )
        answers = self._search(bodies, [_preference(q.terms) for q in queries for _ in range(2)])
        found = []
        for by, near in zip(answers[::2], answers[1::2], strict=True):
            found.append(
                (
                    found_in(by, k, False) if by else _NONE,
                    found_in(near, k, True) if near else _NONE,
                )
            )
        return found

    def score_words(self, query: Asked, keys: Sequence[str]) -> NDArray[np.float64]:
        """The BM25 score of each of these passages, 0 where no word matches."""
        if not query.terms or not query.langs or not keys:
            return np.zeros(len(keys))
        return self._scores(query, keys, False)

    def score_meaning(self, query: Asked, keys: Sequence[str]) -> NDArray[np.float64]:
        """The exact cosine of each of these passages; 0 for one without a vector."""
        if not query.vector.any() or not keys:
            return np.zeros(len(keys))
        return self._scores(query, keys, True)

    def _scores(self, query: Asked, keys: Sequence[str], cosine: bool) -> NDArray[np.float64]:
        parts = [list(keys[at : at + _PAGE]) for at in range(0, len(keys), _PAGE)]
        bodies: list[dict[str, Any] | None] = [
            by_meaning(query.vector, len(part), 1.0, keys=part)
            if cosine
            else by_words(query.terms, query.langs, len(part), keys=part)
            for part in parts
        ]
        known: dict[str, float] = {}
        for answer in self._search(bodies, [_preference(query.terms)] * len(bodies)):
            if answer is not None:
                found = found_in(answer, LARGEST, cosine)
                known |= dict(zip(found.keys, found.scores.tolist(), strict=True))
        return np.array([known.get(key, 0.0) for key in keys])

    def _search(
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
                if self._shards > 1 and "query" in (bodies[i] or {}):
                    header["search_type"] = "dfs_query_then_fetch"  # one idf for all shards
                lines += [header, bodies[i]]
            with explained(self._cluster, self.name):
                found = self._cluster.client.msearch(searches=lines)["responses"]
            for i, answer in zip(some, found, strict=True):
                problem = _failure(self._cluster, self.name, answer)
                if problem is None:
                    answers[i] = answer
                else:
                    failed = failed or problem
        if failed is not None and not any(answer is not None for answer in answers):
            raise BackendError(failed)
        return answers

    # -- words and their frequencies ---------------------------------------------------------------

    def passages_with(
        self, terms: Terms, langs: Sequence[str]
    ) -> dict[tuple[str, str, str], tuple[int, int]]:
        """(stream, term, language) -> passages that hold the term, and passages of that language."""
        wanted = {(stream, term, lang) for stream, term, _ in terms for lang in langs}
        with self._lock:
            found = {key: self._frequencies[key] for key in wanted if key in self._frequencies}
        missing = wanted - found.keys()
        if missing:
            asked = sorted({(stream, term, 1.0) for stream, term, _ in missing})
            fresh = self._frequencies_of(asked, sorted({lang for *_, lang in missing}))
            found |= {key: fresh[key] for key in wanted if key in fresh}
            with self._lock:
                self._frequencies.update(fresh)
                while len(self._frequencies) > _REMEMBERED:
                    self._frequencies.popitem(last=False)
        return found

    def _frequencies_of(
        self, terms: Terms, langs: Sequence[str]
    ) -> dict[tuple[str, str, str], tuple[int, int]]:
        request = frequencies(terms, langs)
        options = {key: request.pop(key) for key in list(request) if key != "doc"}
        docs = [
            {"_index": self.index, "routing": route, **request} for route in self._every_shard()
        ]
        with explained(self._cluster, self.name):
            answer = self._cluster.client.mtermvectors(docs=docs, **options)
        counts: dict[tuple[str, str, str], tuple[int, int]] = {}
        for shard in answer["docs"]:
            fields = shard.get("term_vectors", {})
            for stream, term, _ in terms:
                for lang in langs:
                    entry = fields.get(f"{stream}.{language_field(lang)}", {})
                    holding = int(entry.get("terms", {}).get(term, {}).get("doc_freq", 0))
                    total = int(entry.get("field_statistics", {}).get("doc_count", 0))
                    before = counts.get((stream, term, lang), (0, 0))
                    counts[stream, term, lang] = (before[0] + holding, before[1] + max(total, 0))
        return counts

    def _every_shard(self) -> list[str]:
        """A routing value that leads to each shard."""
        if self._shards == 1:
            return ["0"]
        if not self._routes:
            routes: dict[int, str] = {}
            for number in range(64 * self._shards):
                with explained(self._cluster, self.name):
                    found = self._cluster.client.search_shards(
                        index=self.index, routing=str(number)
                    )
                routes.setdefault(int(found["shards"][0][0]["shard"]), str(number))
                if len(routes) == self._shards:
                    break
            self._routes = list(routes.values())
        return self._routes

    # -- documents and passages ----------------------------------------------------------------

    def documents(self, ids: Sequence[str]) -> dict[str, Document]:
        """The documents among these ids."""
        found = self._by_key([document_key(id_) for id_ in ids], ["content", "document"], ["lang"])
        documents = {}
        for hit in found.values():
            id_ = hit["_source"]["document"]
            documents[id_] = _document(id_, hit)
        return {id_: documents[id_] for id_ in ids if id_ in documents}

    def passage_places(self, keys: Sequence[str]) -> dict[str, tuple[int, int, int]]:
        """Key -> (number, start, end) of each passage in its document's text."""
        found = self._by_key(keys, ["content"], [])
        return {
            key: (hit["_source"]["content"]["number"], *hit["_source"]["content"]["span"])
            for key, hit in found.items()
        }

    def passages(self, document_ids: Sequence[str]) -> dict[str, list[str]]:
        """Keys of the passages of each document that is here, in the order of its text."""
        keys = [document_key(id_) for id_ in document_ids]
        counts = {
            hit["_source"]["document"]: int(hit["_source"]["passages"])
            for hit in self._by_key(keys, ["document", "passages"], []).values()
        }
        return {
            id_: [passage_key(id_, number) for number in range(counts[id_])]
            for id_ in document_ids
            if id_ in counts
        }

    def hashes(self, document_ids: Sequence[str]) -> dict[str, str]:
        """The content hash that each of these documents was written with, where it is here."""
        found = self._by_key([document_key(id_) for id_ in document_ids], ["document", "hash"], [])
        return {hit["_source"]["document"]: hit["_source"]["hash"] for hit in found.values()}

    def document_ids(self) -> Iterator[str]:
        """The id of every document, in their order."""
        for hit in self.entries("document", ["document"]):
            yield hit["fields"]["document"][0]

    def all_documents(self) -> Iterator[Document]:
        """Every document, in the order of their ids."""
        ids = self.document_ids()
        while part := list(itertools.islice(ids, _PAGE)):
            yield from self.documents(part).values()

    def vectors(self, keys: Sequence[str]) -> Matrix:
        """(len(keys), dim): the vectors of these passages, as written."""
        dim = self.encoder.dim
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

    def _by_key(
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

    def answer(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Elasticsearch's answer to one search of this index."""
        (answer,) = self._search([dict(body)], [""])
        assert answer is not None
        return answer

    def count_languages(self) -> dict[str, int]:
        """Documents of each language, most first."""
        body = {
            "size": 0,
            "query": {"term": {"kind": "document"}},
            "aggs": {"langs": {"terms": {"field": "lang", "size": 1000}}},
        }
        buckets = self.answer(body)["aggregations"]["langs"]["buckets"]
        return {entry["key"]: int(entry["doc_count"]) for entry in buckets}

    def count(self, kind: str) -> int:
        """How many documents or passages can be found."""
        body = {"size": 0, "query": {"term": {"kind": kind}}, "track_total_hits": True}
        return int(self.answer(body)["hits"]["total"]["value"])


def _document(id_: str, hit: Mapping[str, Any]) -> Document:
    content = hit["_source"]["content"]
    return Document(
        id_,
        content["text"],
        content.get("title", ""),
        content.get("url", ""),
        hit["fields"].get("lang", [""])[0],
        content.get("fields", {}),
    )


def _preference(terms: Terms) -> str:
    """The same query always asks the same copy of a shard: copies differ in what they count as deleted."""
    text = " ".join(term for _, term, _ in terms)
    return f"tandem-{hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}"


def _failure(cluster: Cluster, name: str, answer: Mapping[str, Any]) -> str | None:
    """Why this answer is of no use: an error, a time-out, or a shard that is missing."""
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
