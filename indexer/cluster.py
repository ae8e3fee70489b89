"""An index in Elasticsearch, read: both searches, exact scores, documents, counts.

Opened at the index that the alias NAME leads to; a rebuild moves the alias to another one, and
`is_current` says so. Every call may raise BackendError; none needs more of a server than its search.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import logging
import math
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.errors import BackendError
from configs.settings import ElasticsearchSettings
from indexer.cluster_alignment import ClusterAlignment, ClusterTokens
from indexer.cluster_entries import ClusterEntries, document_of
from indexer.cluster_frequencies import ClusterFrequencies
from indexer.elastic.address import name_in
from indexer.elastic.conditions import filters_of, wording_candidates
from indexer.elastic.connection import Cluster, connect, explained
from indexer.elastic.mapping import Note, differences, language_field, note_in
from indexer.elastic.requests import (
    LARGEST,
    Found,
    Terms,
    by_meaning,
    by_words,
    document_key,
    found_in,
    searched_languages,
)
from indexer.encoders.token_vectors import aligner, aligns, token_table
from indexer.encoders.word_weights import WordWeights
from indexer.schema import (
    Bounds,
    Candidates,
    CollectionFacts,
    Contains,
    Document,
    Encoder,
    FieldKind,
    Index,
    Keys,
    Matrix,
    Passage,
    Pool,
    Query,
    Scores,
    SignalName,
    Where,
)
from indexer.search.filters import check_condition, kinds_of
from indexer.search.lexical import bound
from indexer.search.query import prepared
from indexer.text import languages
from indexer.text.analysis import unspaced
from indexer.text.conditions import contained
from indexer.text.wording import holds, needed_terms, words_of
from indexer.written_encoder import mismatch, reopened, same_space

__all__ = ["ClusterIndex", "note_of", "resolved"]

log = logging.getLogger(__name__)

_PAGE = 1_000  # entries read at a time
_READ = 200  # documents read at a time, to look for a wording
_NAMED = 60_000  # documents that a filter may name; Elasticsearch allows 65,536
_SEARCHES = 64  # in one request
_REMEMBERED = 100_000  # words of languages whose frequencies are kept
_SEEN = 100_000  # passages whose documents and languages are kept
_NONE = Candidates(np.array([], np.str_), np.zeros(0))


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


def note_of(address: str, settings: ElasticsearchSettings | None = None) -> Note:
    """How es://NAME was made. BackendError when the cluster or the index is not there."""
    name = name_in(address)
    _, entry = resolved(connect(settings), name)
    return note_in(entry["mappings"], address)


def _is_ours(note: Note) -> bool:
    """Whether an index keeps tokens of the student that aligns words in this installation."""
    return note.alignment is not None and aligns(note.alignment.fingerprint)


class ClusterIndex(ClusterEntries):
    """One index of a cluster, open for searching. Satisfies `indexer.schema.Collection`.

    A passage's key is the id of its entry, a document's its id. Safe to use from several threads.
    """

    def __init__(
        self,
        name: str,
        cluster: Cluster,
        index: str,
        note: Note,
        encoder: Encoder,
        shards: int = 1,
        device: str = "auto",
    ) -> None:
        super().__init__(name, cluster, index, encoder.dim, shards)
        self.encoder = encoder
        self.note = note
        self.dense: Index = _Signal(self, "dense")
        self.lexical: Index = _Signal(self, "lexical")
        self._device = device
        self._word_weights = WordWeights(encoder)
        self._facts: CollectionFacts | None = None
        self._frequencies = ClusterFrequencies(self)
        self._seen: dict[str, tuple[str, str]] = {}
        self._lock = threading.Lock()
        self._alignment: ClusterAlignment | None = None
        self._aligning = threading.Lock()
        self._waiting = ThreadPoolExecutor(4, "tandem-cluster")

    @property
    def facts(self) -> CollectionFacts:
        """What it holds; counted when first asked for."""
        if self._facts is None:
            counts = self.count_languages()
            self._facts = CollectionFacts(
                self.address,
                self.note.generation,
                sum(counts.values()),
                self.count("passage"),
                self.note.encoder.name,
                counts,
                aligned=_is_ours(self.note),
                changed=self.note.created,
            )
        return self._facts

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
            encoder = reopened(note.encoder, device)
        encoder = same_space(encoder, note.encoder)
        if (problem := mismatch(encoder, note.encoder)) is not None:
            raise BackendError(f"{address}: {problem}")
        shards = int(entry["settings"]["index"]["number_of_shards"])
        opened = cls(name, cluster, index, note, encoder, shards, device)
        assert opened.facts is not None  # counted now: a cluster that cannot search says so
        return opened

    @property
    def address(self) -> str:
        return f"es://{self.name}"

    def __len__(self) -> int:
        """Documents that can be found."""
        return self.facts.documents

    def about(self) -> dict[str, object]:
        """What a report states of the index."""
        facts, note = self.facts, self.note
        return {
            "documents": facts.documents,
            "passages": facts.passages,
            "languages": ", ".join(f"{lang or '?'} {n}" for lang, n in facts.languages.items()),
            "generation": facts.generation,
            "content": f"Elasticsearch index {self.index} of {note.created}",
            "encoder": f"{note.encoder.name}, {note.encoder.dim} dimensions",
            "encoder fingerprint": note.encoder.fingerprint,
            "vectors": "Elasticsearch",
            "words": {"backend": "elasticsearch", "word_weight": note.word_weight},
            "passage settings": dataclasses.asdict(note.passages),
        }

    def newest(self) -> ClusterIndex | None:
        """The index that the alias leads to by now, as it is by now; None where that is this one."""
        index, entry = resolved(self._cluster, self.name)
        note = note_in(entry["mappings"], self.address)
        if index == self.index and note == self.note:
            return None
        # another fingerprint: the index was built again, with another encoder
        same = note.encoder.fingerprint == self.note.encoder.fingerprint
        encoder = self.encoder if same else None
        return ClusterIndex.open(self.address, encoder, self._cluster.settings, self._device)

    def close(self) -> None:
        self._waiting.shutdown()
        self._cluster.client.close()

    def check_where(self, where: Where | None) -> None:
        """Raises ConfigError for a filter on a language nobody knows or a field that no document has."""
        if where is not None:
            languages.check(where.langs)
            for condition in where.conditions():
                check_condition(condition, self.fields)

    # -- the documents' own fields -------------------------------------------------------------

    @property
    def fields(self) -> Mapping[str, FieldKind]:
        """The fields that documents have, with their kinds."""
        return kinds_of(self.note.fields)

    # -- searching -----------------------------------------------------------------------------

    def queries(self, texts: Sequence[str], literal: bool = False) -> list[Query]:
        """The texts prepared, as for a folder; the first vector that is needed encodes them all at once.

        No word is put right in a cluster, so that `literal` changes nothing.
        """
        return [
            *prepared(
                texts,
                self.encoder,
                list(self.facts.languages),
                self.note.word_weight,
                self._word_weights,
            )
        ]

    def pools(
        self,
        queries: Sequence[Query],
        size: int,
        signals: Sequence[SignalName],
        where: Where | None = None,
    ) -> list[Pool]:
        """For each query the `size` best passages of each signal, all of them scored by every signal.

        One request finds the passages, one more scores those that only one signal found. A signal that
        fails is left out of the pool's ranks and named in `failed`; when all fail, BackendError.
        """
        asked, signals = signals, _known(signals)
        counting = None
        if len(signals) > 1:  # fusion will ask for the bounds
            counting = self._waiting.submit(self._frequencies.of, queries)
        found = self._candidates(
            queries, size, signals, filters_of(where, self.fields, self._holding(where))
        )
        merged = [_merged(lists) for lists in found]
        bodies: list[dict[str, Any] | None] = []
        for query, keys, lists in zip(queries, merged, found, strict=True):
            for name in signals:
                known = set(lists[name].keys.tolist()) if name in lists else set(keys)
                bodies.append(self._scoring(query, name, [k for k in keys if k not in known]))
        answers = iter(self.search(bodies, _preferences(queries, signals)))
        pools = []
        for keys, lists in zip(merged, found, strict=True):
            scored = {name: _scores(next(answers), name) for name in signals}
            pools.append(_pool(keys, lists, signals, scored))
        if counting is not None:
            counting.result()
        return self._aligned(queries, pools) if "alignment" in asked else pools

    def scored(self, query: Query, keys: Keys, signals: Sequence[SignalName]) -> Pool:
        """These passages, scored by every signal; they have no ranks."""
        asked, signals = signals, _known(signals)
        wanted = keys.tolist()
        bodies: list[dict[str, Any] | None] = []
        parts = [wanted[at : at + _PAGE] for at in range(0, len(wanted), _PAGE)]
        for name in signals:
            bodies += [self._scoring(query, name, part) for part in parts]
        answers = iter(self.search(bodies, [_preference(query.terms)] * len(bodies)))
        scores: dict[SignalName, Scores] = {}
        for name in signals:
            known: dict[str, float] = {}
            for _ in parts:
                known |= _scores(next(answers), name)
            scores[name] = np.array([known.get(key, 0.0) for key in wanted], np.float64)
        unranked = np.full(len(wanted), math.inf)
        pool = Pool(keys, scores, dict.fromkeys(signals, unranked))
        return self._aligned([query], [pool])[0] if "alignment" in asked else pool

    def _aligned(self, queries: Sequence[Query], pools: list[Pool]) -> list[Pool]:
        """The pools with the scores of alignment; as they are where the index has no tokens, or gives none now."""
        if self.alignment is None:
            return pools
        try:
            every = np.array(sorted({key for pool in pools for key in pool.keys.tolist()}), np.str_)
            self.alignment.tokens.take(every)  # in as few requests as can be
            return [
                _with_alignment(pool, self.alignment.score(query, pool.keys))
                for query, pool in zip(queries, pools, strict=True)
            ]
        except BackendError as error:
            log.warning("words are not aligned: %s", error)
            return pools

    @property
    def alignment(self) -> ClusterAlignment | None:
        """Scores passages by their words; None where the index keeps no tokens of this installation's student."""
        if not self.facts.aligned:
            return None
        with self._aligning:
            if self._alignment is None:
                student = aligner(self.encoder)
                assert student is not None
                tokens = ClusterTokens(self.answer)
                self._alignment = ClusterAlignment(tokens, student, token_table())
            return self._alignment

    def bounds(self, query: Query) -> dict[SignalName, Bounds]:
        """Each signal's scores that mean nothing and everything."""
        return {
            "dense": (self.note.encoder.background, 1.0),
            "lexical": (0.0, self._most(query)),
        }

    def _most(self, query: Query) -> float:
        """The BM25 that no passage can exceed in the languages the query may be in.

        Each language has its own idf; see `indexer.search.lexical.bound`.
        """
        counts = self._frequencies.of([query])[0]
        totals = [0.0]
        for lang in query.likely:
            of = {(stream, term): counts[stream, term, lang] for stream, term, _ in query.terms}
            passages = max((passages for _, passages in of.values()), default=0)
            holding = {term: n for term, (n, _) in of.items()}
            totals.append(
                bound(query.counted, lambda *term, held=holding: held.get(term, 0), passages)
            )
        return max(totals)

    def _candidates(
        self,
        queries: Sequence[Query],
        size: int,
        signals: Sequence[SignalName],
        filters: Sequence[Mapping[str, Any]],
    ) -> list[dict[SignalName, Candidates]]:
        """What each signal found for each query; a signal that failed is not there."""
        bodies: list[dict[str, Any] | None] = []
        for query in queries:
            bodies += [self._searching(query, name, size, filters) for name in signals]
        answers = iter(self.search(bodies, _preferences(queries, signals)))
        asked = iter(bodies)
        found = []
        for _ in queries:
            lists: dict[SignalName, Candidates] = {}
            for name in signals:
                body, answer = next(asked), next(answers)
                if body is None:
                    lists[name] = _NONE
                elif answer is not None:
                    lists[name] = self._remembered(found_in(answer, size, name == "dense"))
            found.append(lists)
        return found

    def _holding(self, where: Where | None) -> dict[Contains, list[str]]:
        """The documents that hold each wording of a filter: candidates by their words, and of these by their text."""
        wordings = (
            [] if where is None else [w for part in where.conditions() for w in contained(part)]
        )
        found: dict[Contains, list[str]] = {}
        for wording in dict.fromkeys(wordings):
            phrase = words_of(wording.text)
            langs = list(self.facts.languages)
            fields = [f"words.{language_field(lang)}" for lang in langs]
            ids = self._documents_with(
                wording_candidates(needed_terms(phrase, langs), fields), wording
            )
            if len(phrase) > 1 or wording.title or unspaced(phrase[0]):
                kept = []
                for start in range(0, len(ids), _READ):
                    documents = self.documents(ids[start : start + _READ])
                    kept += [id_ for id_, one in documents.items() if holds(one, wording, phrase)]
                ids = kept
            found[wording] = ids
        return found

    def _documents_with(self, query: Mapping[str, Any], wording: Contains) -> list[str]:
        """The ids of the documents of all passages that a query finds. BackendError beyond what a filter can name."""
        ids: dict[str, None] = {}
        body: dict[str, Any] = {
            "query": query, "size": LARGEST, "sort": [{"key": "asc"}], "track_total_hits": False,
            "stored_fields": "_none_", "docvalue_fields": ["document"],
        }  # fmt: skip
        while True:
            hits = self.answer(body)["hits"]["hits"]
            ids |= dict.fromkeys(hit["fields"]["document"][0] for hit in hits)
            if len(ids) > _NAMED:
                raise BackendError(
                    f"more than {_NAMED:,} documents hold {wording.text!r}, too many for a filter in Elasticsearch; "
                    "choose a rarer word, or search it as text"
                )
            if len(hits) < LARGEST:
                return list(ids)
            body["search_after"] = hits[-1]["sort"]

    def _searching(
        self, query: Query, name: SignalName, size: int, filters: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any] | None:
        """One signal's search; None where there is nothing to look for."""
        if name == "dense":
            vector = query.vector
            return (
                by_meaning(vector, size, self._cluster.settings.oversample, filters)
                if vector.any()
                else None
            )
        langs = self._searched(query)
        return by_words(query.terms, langs, size, filters) if query.terms and langs else None

    def _scoring(
        self, query: Query, name: SignalName, keys: Sequence[str]
    ) -> dict[str, Any] | None:
        """One signal's search among these passages; None where that is not needed."""
        if not keys:
            return None
        if name == "dense":
            return (
                by_meaning(query.vector, len(keys), 1.0, keys=keys) if query.vector.any() else None
            )
        langs = self._searched(query)
        return by_words(query.terms, langs, len(keys), keys=keys) if query.terms and langs else None

    def _searched(self, query: Query) -> list[str]:
        return searched_languages(query.terms, list(self.facts.languages), query.likely)

    def _remembered(self, found: Found) -> Candidates:
        """The passages found; their documents and languages are kept for those who ask for them next."""
        entries = zip(found.keys, zip(found.documents, found.langs, strict=True), strict=True)
        with self._lock:
            if len(self._seen) > _SEEN:
                self._seen.clear()
            self._seen.update(entries)
        return Candidates(np.array(found.keys, np.str_), found.scores)

    # -- what keys name ------------------------------------------------------------------------

    def _about(self, keys: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Key -> (document id, language) of passages: remembered from the search that found them."""
        with self._lock:
            known = {key: self._seen[key] for key in keys if key in self._seen}
        missing = [key for key in keys if key not in known]
        for key, hit in self.by_key(missing, [], ["document", "lang"]).items():
            fields = hit["fields"]
            known[key] = fields["document"][0], fields["lang"][0]
        return known

    def documents_of(self, passages: Keys) -> Keys:
        """The id of each passage's document, which is its key."""
        keys = passages.tolist()
        known = self._about(keys)
        return np.array([known[key][0] if key in known else "" for key in keys], np.str_)

    def languages_of(self, passages: Keys) -> NDArray[np.str_]:
        """The language code of each passage's document; empty where it is not known."""
        keys = passages.tolist()
        known = self._about(keys)
        return np.array([known[key][1] if key in known else "" for key in keys], np.str_)

    def ids(self, documents: Keys) -> list[str]:
        """Document ids are the keys of documents."""
        return [str(id_) for id_ in documents.tolist()]

    def fetch(self, passages: Keys) -> list[tuple[Document, Passage]]:
        """Each passage with its document, in one request. One that was deleted meanwhile is empty."""
        keys = passages.tolist()
        of = dict(zip(keys, self.documents_of(passages).tolist(), strict=True))
        both = [*keys, *(document_key(id_) for id_ in dict.fromkeys(of.values()))]
        found = self.by_key(both, ["content"], ["lang"])
        pairs = []
        for key in keys:
            id_ = of[key]
            own = found.get(document_key(id_))
            document = document_of(id_, own) if own is not None else Document(id_, "")
            content = found[key]["_source"]["content"] if key in found else {}
            start, end = content.get("span", (0, 0))
            text = document.text[start:end]
            pairs.append((document, Passage(id_, content.get("number", 0), text, start, end)))
        return pairs

    def nearest(self, vectors: Matrix, k: int) -> list[Candidates]:
        """The k nearest passages of each vector, by exact cosine; none for a vector that is all zero."""
        oversample = self._cluster.settings.oversample
        bodies = [by_meaning(vector, k, oversample) if vector.any() else None for vector in vectors]
        return [
            self._remembered(found_in(answer, k, True)) if answer is not None else _NONE
            for answer in self.search(bodies, [""] * len(bodies))
        ]


class _Signal:
    """One signal of an index in a cluster. Satisfies `indexer.schema.Index`."""

    def __init__(self, cluster_index: ClusterIndex, name: SignalName) -> None:
        self._index = cluster_index
        self._name = name

    def search(self, query: Query, k: int, where: Where | None = None) -> Candidates:
        return self.search_many([query], k, where)[0]

    def search_many(
        self, queries: Sequence[Query], k: int, where: Where | None = None
    ) -> list[Candidates]:
        pools = self._index.pools(queries, k, [self._name], where)
        return [Candidates(pool.keys, pool.scores[self._name]) for pool in pools]

    def score(self, query: Query, keys: Keys) -> Scores:
        return self._index.scored(query, keys, [self._name]).scores[self._name]

    def bounds(self, query: Query) -> Bounds:
        return self._index.bounds(query)[self._name]


def _with_alignment(pool: Pool, scores: Scores) -> Pool:
    unranked = np.full(len(pool.keys), math.inf)
    return dataclasses.replace(
        pool,
        scores={**pool.scores, "alignment": scores},
        ranks={**pool.ranks, "alignment": unranked},
    )


def _known(signals: Sequence[SignalName]) -> list[SignalName]:
    """The signals that the cluster itself computes."""
    return [name for name in signals if name in ("dense", "lexical")]


def _merged(found: Mapping[SignalName, Candidates]) -> list[str]:
    """Every passage found, once."""
    lists = [candidates.keys.tolist() for candidates in found.values()]
    return list(dict.fromkeys(itertools.chain.from_iterable(lists)))


def _scores(answer: Mapping[str, Any] | None, name: SignalName) -> dict[str, float]:
    if answer is None:
        return {}
    found = found_in(answer, LARGEST, name == "dense")
    return dict(zip(found.keys, found.scores.tolist(), strict=True))


def _pool(
    keys: Sequence[str],
    found: Mapping[SignalName, Candidates],
    signals: Sequence[SignalName],
    scored: Mapping[SignalName, Mapping[str, float]],
) -> Pool:
    """The pool of these passages: a score is what the signal found, else what it gave, else 0."""
    scores: dict[SignalName, Scores] = {}
    ranks: dict[SignalName, Scores] = {}
    for name in signals:
        mine = found.get(name, _NONE)
        own = mine.keys.tolist()
        known = {**scored[name], **dict(zip(own, mine.scores.tolist(), strict=True))}
        places = dict(zip(own, range(1, len(own) + 1), strict=True))
        scores[name] = np.array([known.get(key, 0.0) for key in keys], np.float64)
        ranks[name] = np.array([places.get(key, math.inf) for key in keys], np.float64)
    failed = frozenset(name for name in signals if name not in found)
    return Pool(np.array(keys, np.str_), scores, ranks, failed)


def _preferences(queries: Sequence[Query], signals: Sequence[SignalName]) -> list[str]:
    return [_preference(query.terms) for query in queries for _ in signals]


def _preference(terms: Terms) -> str:
    """The same query always asks the same copy of a shard: copies differ in what they count as deleted."""
    text = " ".join(term for _, term, _ in terms)
    return f"tandem-{hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}"
