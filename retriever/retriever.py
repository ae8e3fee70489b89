"""The search: asks every signal of a collection, fuses their passages, and gives documents back.

Each signal hands over its `pool` best passages, and scores those that others found; a document stands at
its best passage. The page, the command line and every evaluation search here.
"""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from configs.errors import ConfigError
from configs.settings import ElasticsearchSettings, FusionSettings, SearchSettings
from indexer.collections import open_collection
from indexer.schema import (
    Collection,
    Encoder,
    Fielded,
    FieldKind,
    Hit,
    Keys,
    Mode,
    Part,
    Pool,
    Query,
    Ranking,
    Scores,
    SignalName,
    Where,
)
from indexer.text import languages
from retriever import fusion
from retriever.fields import check_field, counted, sorted_hits
from retriever.learned_fusion import CROSSING, Probability, features, learned, weights_of
from retriever.query_language import ParsedQuery, parse_query
from retriever.suggestions import suggestions

__all__ = ["Retriever"]

SIGNALS: Mapping[Mode, tuple[SignalName, ...]] = {
    "hybrid": ("dense", "lexical", "alignment"),
    "dense": ("dense",),
    "lexical": ("lexical",),
}
LIKENESS = 4  # passages of a document that similar ones are searched with: its beginning says what it is about
POOLS = 4  # pools tried, each four times as large, until there are enough documents


class Retriever:
    """Searches one collection. Safe to use from several threads."""

    def __init__(self, collection: Collection, settings: SearchSettings | None = None) -> None:
        self._collection = collection
        self.settings = settings or SearchSettings()
        self._lock = threading.Lock()
        self._latest: tuple[Collection, Query] | None = None  # the query that was searched last

    @classmethod
    def open(
        cls,
        path: str | Path,
        encoder: Encoder | None = None,
        settings: SearchSettings | None = None,
        device: str = "auto",
        elasticsearch: ElasticsearchSettings | None = None,
    ) -> Retriever:
        """The index at `path`, a folder or es://NAME, as it is now. Raises what `open_collection` raises."""
        # the first query needs it; its file is unpacked while the encoder and the index are opened
        threading.Thread(target=languages.prepare).start()
        return cls(open_collection(path, encoder, device, elasticsearch), settings)

    @property
    def collection(self) -> Collection:
        return self._collection

    def with_settings(self, settings: SearchSettings) -> Retriever:
        """The same open collection, searched with other settings."""
        return Retriever(self._collection, settings)

    def refresh(self) -> bool:
        """Move to the newest commit; True when there was one. Searches under way end on the old one."""
        with self._lock:
            newest = self._collection.newest()
            if newest is None:
                return False
            # The old commit's files stay open until its last search lets go of them.
            self._collection = newest
            self._latest = None
            return True

    # -- searching -----------------------------------------------------------------------------

    def parsed(self, query: str, where: Where | None = None, literal: bool = False) -> ParsedQuery:
        """A query as a person typed it, its phrases, exclusions and fields read into the filter `where`.

        `literal`, and a query longer than the limit: all of it is text.
        """
        if literal or len(query) > self.settings.max_query:
            return ParsedQuery(query, query, where)
        collection = self._collection
        langs = [lang for lang in collection.facts.languages if lang]
        return parse_query(query, where, kinds=_kinds(collection), langs=langs)

    def search(
        self,
        query: str,
        k: int | None = None,
        mode: Mode | None = None,
        where: Where | None = None,
        offset: int = 0,
        sort: str | None = None,
        literal: bool = False,
    ) -> list[Hit]:
        """The best `k` documents after the first `offset`, with their passages and parts.

        `query` is text, see `parsed`; `literal`: no word of it is put right. `sort` names a field: the best `search.pool` documents are then given in its order, descending
        after a minus. Raises ConfigError for a query that is empty or too long, for k below 1, an unknown
        mode, language or field.
        """
        end = offset + self._wanted(k, offset)
        collection = self._collection  # a refresh meanwhile does not change it for this search
        if sort is not None:
            hits = self._window(collection, query, mode, where, literal)
            return sorted_hits(hits, sort, _kinds(collection))[offset:end]
        ranking = self._rankings(collection, [query], end, mode, where, literal)[0]
        return _hits(collection, ranking, offset, end)

    def facets(
        self,
        query: str,
        names: Sequence[str],
        mode: Mode | None = None,
        where: Where | None = None,
    ) -> dict[str, dict[str, int]]:
        """For each field how many of the best `search.pool` documents have each value, most first.

        Raises ConfigError as `search`.
        """
        collection = self._collection
        for name in names:
            check_field(name, _kinds(collection))
        documents = [hit.document for hit in self._window(collection, query, mode, where)]
        return {name: counted(documents, name) for name in names}

    def _window(
        self,
        collection: Collection,
        query: str,
        mode: Mode | None,
        where: Where | None,
        literal: bool = False,
    ) -> list[Hit]:
        """The best `search.pool` documents: what is sorted and counted does not depend on the page."""
        size = self.settings.pool
        ranking = self._rankings(collection, [query], size, mode, where, literal)[0]
        return _hits(collection, ranking, 0, self.settings.pool)

    def search_many(
        self,
        queries: Sequence[str],
        k: int | None = None,
        mode: Mode | None = None,
        where: Where | None = None,
    ) -> list[list[Hit]]:
        """`search` for each query; the encoder sees all of them at once."""
        wanted = self._wanted(k)
        collection = self._collection
        rankings = self._rankings(collection, queries, wanted, mode, where)
        return [_hits(collection, ranking, 0, wanted) for ranking in rankings]

    def similar(
        self, document_id: str, k: int | None = None, where: Where | None = None
    ) -> list[Hit]:
        """The documents nearest to one of the index by meaning, in every language; itself is left out.

        Each of its first passages is a query, and a document scores as the best of them.
        Raises ConfigError for an id that is not in the index, and as `search`.
        """
        wanted = self._wanted(k)
        collection = self._collection
        keys = collection.passages([document_id]).get(document_id)
        if keys is None:
            raise ConfigError(f"not in the index: {document_id!r}")
        texts = [
            f"{document.title}\n{passage.text}".strip()[: self.settings.max_query]
            for document, passage in collection.fetch(keys[:LIKENESS])
        ]
        texts = [text for text in texts if any(map(str.isalnum, text))]
        self._collection.check_where(where)
        best: dict[str, Hit] = {}
        for ranking in self._rankings(collection, texts, wanted + 1, "dense", where, True):
            for hit in _hits(collection, ranking, 0, wanted + 1):
                kept = best.get(hit.document.id)
                if kept is None or hit.score > kept.score:
                    best[hit.document.id] = hit
        best.pop(document_id, None)
        hits = sorted(best.values(), key=lambda hit: (-hit.score, hit.document.id))[:wanted]
        return [dataclasses.replace(hit, rank=rank) for rank, hit in enumerate(hits, 1)]

    def suggest(self, text: str, most: int = 8) -> list[str]:
        """Queries that a text which is being typed may become: titles, and phrases of several documents."""
        return suggestions(self._collection, text[: self.settings.max_query], most)

    def rank(
        self,
        queries: Sequence[str],
        depth: int = 100,
        mode: Mode | None = None,
        where: Where | None = None,
    ) -> list[Ranking]:
        """Document ids and scores for each query, `depth` deep: what an evaluation turns into a run."""
        wanted = self._wanted(depth)
        collection = self._collection
        rankings = self._rankings(collection, queries, wanted, mode, where)
        return [_with_ids(collection, ranking, wanted) for ranking in rankings]

    def score(self, query: str, document_ids: Sequence[str], mode: Mode | None = None) -> Scores:
        """The score each document would have, whether or not a search would reach it; (len(ids),).

        `learned`, `interleave` and `convex` give the very score of a search (without a filter). The other methods
        scale or rank by the documents asked for, since that is the only list there is.
        Raises ConfigError for an id that is not in the index.
        """
        collection = self._collection
        chosen = self._checked(query, mode, None)
        passages = collection.passages(document_ids)
        missing = [id_ for id_ in document_ids if id_ not in passages]
        if missing:
            raise ConfigError(f"not in the index: {', '.join(map(repr, missing[:5]))}")
        if not document_ids:
            return np.zeros(0)
        prepared = collection.queries([query])[0]
        groups = [passages[id_] for id_ in document_ids]
        keys = np.concatenate(groups)
        pool = self._pool_with(collection, prepared, keys, chosen)
        places = {key: place for place, key in enumerate(pool.keys.tolist())}
        fused = self._fused(collection, prepared, pool, chosen)
        scores = fused.score[[places[key] for key in keys.tolist()]]
        starts = np.cumsum([0, *map(len, groups)])[:-1]
        return np.maximum.reduceat(scores, starts)

    def floor(self, mode: Mode | None = None) -> float:
        """The score below which a hit is no answer; 0 where scores are no probabilities."""
        settings = self.settings
        fitted = weights_of(settings.fusion.weights, self._collection.facts.encoder) is not None
        learned_one = settings.fusion.method == "learned" and fitted
        return settings.floor if (mode or settings.mode) == "hybrid" and learned_one else 0.0

    def searched(self, query: str) -> str:
        """What is searched for this query: itself, or with a word that the index does not hold put right."""
        latest = self._latest  # mostly asked right after the search
        if latest is not None and latest[0] is self._collection and latest[1].text == query:
            return latest[1].searched
        return self._collection.queries([query])[0].searched

    def check(self, query: str, mode: Mode | None = None, where: Where | None = None) -> None:
        """ConfigError when `search` would refuse this query, mode or filter."""
        self._checked(query, mode, where)

    def _checked(self, query: str, mode: Mode | None, where: Where | None) -> Mode:
        chosen = mode or self.settings.mode
        if chosen not in get_args(Mode):
            raise ConfigError(f"mode {chosen!r}: one of {', '.join(get_args(Mode))} is expected")
        if len(query) > self.settings.max_query:
            raise ConfigError(
                f"the query has {len(query):,} characters; the limit is {self.settings.max_query:,} "
                "(search.max_query)"
            )
        if not any(map(str.isalnum, query)):
            raise ConfigError(
                f"the query {query[:40]!r} has no word to search for; give at least one letter or digit"
            )
        if any("\ud800" <= character <= "\udfff" for character in query):
            raise ConfigError(
                f"the query {query[:40]!r} is not UTF-8; check the terminal's encoding"
            )
        self._collection.check_where(where)
        return chosen

    def _wanted(self, k: int | None, offset: int = 0) -> int:
        """How many are wanted, `k` or the setting. Raises ConfigError for what cannot be counted."""
        wanted = self.settings.k if k is None else k
        if wanted < 1:
            raise ConfigError(f"k must be at least 1, not {wanted}")
        if offset < 0:
            raise ConfigError(f"offset must be at least 0, not {offset}")
        return wanted

    def _rankings(
        self,
        collection: Collection,
        texts: Sequence[str],
        wanted: int,
        mode: Mode | None,
        where: Where | None,
        literal: bool = False,
    ) -> list[_Ranking]:
        """The documents found for each query: `wanted` or more where there are so many."""
        chosen: Mode = "hybrid"
        for text in texts:
            chosen = self._checked(text, mode, where)
        queries = collection.queries(texts, literal)
        if len(queries) == 1 and not literal:
            self._latest = collection, queries[0]
        size = self.settings.pool
        while size < wanted:  # doubled, so that neighbouring pages mostly come from one pool
            size *= 2
        for _ in range(
            POOLS
        ):  # long documents have many passages: ask for more until there are enough
            pools = collection.pools(queries, size, self._signals(chosen), where)
            rankings = [
                self._ranking(collection, query, pool, chosen)
                for query, pool in zip(queries, pools, strict=True)
            ]
            if all(len(r) >= wanted or len(r.pool.keys) < size for r in rankings):
                break
            size *= 4
        return rankings

    def _signals(self, mode: Mode) -> tuple[SignalName, ...]:
        """The signals that are asked; a collection leaves out alignment where it has none."""
        signals = SIGNALS[mode]
        return signals if self.settings.alignment > 0 else signals[:2]

    def _ranking(self, collection: Collection, query: Query, pool: Pool, mode: Mode) -> _Ranking:
        """Each document of the pool at its best passage, best first; ties by passage."""
        fused = self._fused(collection, query, pool, mode)
        scores = fused.score
        documents = collection.documents_of(pool.keys)
        order = np.lexsort((pool.keys, -scores))
        best = order[_first_of_each(documents[order])]
        return _Ranking(documents[best], scores[best], best, pool, fused)

    def _fused(
        self, collection: Collection, query: Query, pool: Pool, mode: Mode
    ) -> fusion.Fused | Probability:
        """The passages' scores, by the mode and the method of the settings."""
        none = np.zeros(len(pool.keys))
        if mode == "dense" or not len(pool.keys):
            return fusion.Fused(pool.scores.get("dense", none), none)
        if mode == "lexical":
            return fusion.Fused(none, pool.scores["lexical"])
        settings = self.settings.fusion
        sides = pool.scores["dense"], pool.scores["lexical"]
        if settings.method == "rrf":
            return fusion.rrf(pool.ranks["dense"], pool.ranks["lexical"], settings.rrf_k)
        weight = _weight(settings, query)
        if settings.method == "minmax":
            return fusion.minmax(*sides, weight)
        if settings.method == "zscore":
            return fusion.zscore(*sides, weight)
        if settings.method == "combmnz":
            return fusion.combmnz(*sides, weight)
        bounds = collection.bounds(query)
        weights = weights_of(settings.weights, collection.facts.encoder)
        if weights is None and _crosses(collection, query):
            weights = CROSSING
        if settings.method == "learned" and weights is not None:
            same = np.isin(collection.languages_of(pool.keys), query.own)
            aligned = pool.scores.get("alignment")
            return learned(features(*sides, bounds["lexical"], same, aligned), weights)
        bounded = *sides, bounds["dense"], bounds["lexical"]
        within = fusion.convex(*bounded, weight)
        if settings.method == "convex":
            return within
        rank = np.minimum(pool.ranks["dense"], pool.ranks["lexical"])
        return fusion.interleave(
            within,
            fusion.across(*bounded),
            collection.languages_of(pool.keys),
            rank <= self.settings.pool,
        )

    def _pool_with(self, collection: Collection, query: Query, keys: Keys, mode: Mode) -> Pool:
        """A pool that holds these passages, and what `_fused` compares them with."""
        signals, method = self._signals(mode), self.settings.fusion.method
        if mode == "hybrid" and method in ("learned", "interleave"):  # beside what is found
            pool = collection.pools([query], self.settings.pool, signals)[0]
            others = np.setdiff1d(keys, pool.keys)
            return _joined(pool, collection.scored(query, others, signals))
        pool = collection.scored(query, keys, signals)
        return _ranked_by_score(pool) if method == "rrf" else pool


def _crosses(collection: Collection, query: Query) -> bool:
    """Whether most documents are in a language that the query is not in."""
    counts = collection.facts.languages
    return 2 * sum(counts.get(lang, 0) for lang in query.own) < sum(counts.values())


@dataclass(frozen=True, slots=True)
class _Ranking:
    """The documents found for one query, best first, (documents,) each; ties are not yet settled by id."""

    documents: Keys
    scores: Scores
    best: NDArray[np.int64]
    """Where each document's best passage stands in the pool."""
    pool: Pool
    fused: fusion.Fused | Probability

    def __len__(self) -> int:
        return len(self.documents)

    def parts(self, place: int) -> dict[SignalName, Part]:
        """What each signal contributed to the document at `place`; a signal that failed is not there."""
        row, shares = self.best[place], self.fused.parts
        return {
            name: Part(
                float(scores[row]),
                _rank(self.pool.ranks[name][row]),
                float(shares[name][row]) if name in shares else 0.0,
            )
            for name, scores in self.pool.scores.items()
            if name not in self.pool.failed
        }


def _kinds(collection: Collection) -> Mapping[str, FieldKind]:
    return collection.fields if isinstance(collection, Fielded) else {}


def _hits(collection: Collection, ranking: _Ranking, start: int, end: int) -> list[Hit]:
    """The hits from `start` to `end`, counted from 0; equal scores in the order of the ids."""
    first, last = _whole_ties(ranking.scores, start, end)
    found = collection.fetch(ranking.pool.keys[ranking.best[first:last]])
    scores = ranking.scores[first:last].tolist()
    order = sorted(range(len(found)), key=lambda i: (-scores[i], found[i][0].id))
    return [
        Hit(*found[i], scores[i], rank, ranking.parts(first + i))
        for rank, i in enumerate(order[start - first : end - first], start + 1)
    ]


def _with_ids(collection: Collection, ranking: _Ranking, depth: int) -> Ranking:
    """The best `depth` documents by id; equal scores in the order of the ids."""
    _, last = _whole_ties(ranking.scores, 0, depth)
    ids = collection.ids(ranking.documents[:last])
    pairs = zip(ids, ranking.scores[:last].tolist(), strict=True)
    return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:depth]


def _whole_ties(scores: Scores, start: int, end: int) -> tuple[int, int]:
    """`start` and `end`, moved apart until neither stands between two equal scores."""
    start, end = min(start, len(scores)), min(end, len(scores))
    while 0 < start < len(scores) and scores[start - 1] == scores[start]:
        start -= 1
    while 0 < end < len(scores) and scores[end] == scores[end - 1]:
        end += 1
    return start, end


def _first_of_each(values: Keys) -> NDArray[np.int64]:
    """Where each value stands for the first time, ascending."""
    return np.sort(np.unique(values, return_index=True)[1])


def _rank(rank: float) -> int | None:
    return int(rank) if math.isfinite(rank) else None


def _weight(settings: FusionSettings, query: Query) -> float:
    """The lexical weight: that of the query's languages, by their probabilities, where they have one."""
    weights, common = settings.language_weights, settings.lexical_weight
    total = sum(query.languages.values()) if weights else 0.0
    if total <= 0:
        return common
    return sum(p * weights.get(lang, common) for lang, p in query.languages.items()) / total


def _joined(first: Pool, second: Pool) -> Pool:
    """The passages of both, in this order; none may stand in both."""
    return Pool(
        np.concatenate([first.keys, second.keys]),
        {name: np.concatenate([s, second.scores[name]]) for name, s in first.scores.items()},
        {name: np.concatenate([r, second.ranks[name]]) for name, r in first.ranks.items()},
        first.failed | second.failed,
    )


def _ranked_by_score(pool: Pool) -> Pool:
    """The pool with ranks by its own scores; a lexical score of 0 is no rank."""
    ranks = {}
    for name, scores in pool.scores.items():
        places = np.empty(len(pool.keys))
        places[np.lexsort((pool.keys, -scores))] = np.arange(1, len(pool.keys) + 1)
        if name == "lexical":
            places[scores <= 0] = math.inf
        ranks[name] = places
    return dataclasses.replace(pool, ranks=ranks)
