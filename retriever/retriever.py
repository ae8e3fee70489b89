"""The search: asks both sides of an index, fuses their passages, and gives documents back.

Each side hands over its `pool` best passages; what only one side found is scored exactly by the other;
a document stands at its best passage. The page, the command line and every evaluation search here.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from configs.errors import ConfigError
from configs.settings import FusionSettings, SearchSettings
from indexer.folder import IndexFolder
from indexer.schema import Document, Encoder, Hit, Mode, Part, Passage, Ranking, Where
from indexer.storage.manifest import read_manifest
from indexer.text import languages
from retriever import fusion
from retriever.pool import Pool, Scores, asked_for, joined, offered, ranked

__all__ = ["Retriever"]


class Retriever:
    """Searches one index folder. Safe to use from several threads."""

    def __init__(
        self, folder: IndexFolder, settings: SearchSettings | None = None, device: str = "auto"
    ) -> None:
        self._folder = folder
        self._device = device
        self.settings = settings or SearchSettings()
        self._lock = threading.Lock()

    @classmethod
    def open(
        cls,
        path: str | Path,
        encoder: Encoder | None = None,
        settings: SearchSettings | None = None,
        device: str = "auto",
    ) -> Retriever:
        """The newest commit of the index at `path`. IndexFolderError as `IndexFolder.open`."""
        # the first query needs it; its file is unpacked while the encoder and the index are opened
        threading.Thread(target=languages.prepare).start()
        return cls(IndexFolder.open(path, encoder, device), settings, device)

    @property
    def folder(self) -> IndexFolder:
        return self._folder

    def with_settings(self, settings: SearchSettings) -> Retriever:
        """The same open index, searched with other settings."""
        return Retriever(self._folder, settings, self._device)

    def refresh(self) -> bool:
        """Move to the newest commit; True when there was one. Searches under way end on the old one."""
        with self._lock:
            if self._folder.is_current():
                return False
            # The old commit's files stay open until its last search lets go of them.
            newest = read_manifest(self._folder.path).encoder.fingerprint
            same = newest == self._folder.encoder.fingerprint
            encoder = self._folder.encoder if same else None  # it was built again, with another one
            self._folder = IndexFolder.open(self._folder.path, encoder, self._device)
            return True

    # -- searching -----------------------------------------------------------------------------

    def search(
        self,
        query: str,
        k: int | None = None,
        mode: Mode | None = None,
        where: Where | None = None,
        offset: int = 0,
    ) -> list[Hit]:
        """The best `k` documents after the first `offset`, with their passages and parts.

        Raises ConfigError for a query that is empty or too long, for k below 1, an unknown mode or
        language.
        """
        wanted = self.settings.k if k is None else k
        _check_k(wanted, offset)
        folder = self._folder
        found = self._documents(folder, [query], wanted + offset, mode, where, whole=not offset)[0]
        return _hits(folder, found[offset : offset + wanted], offset)

    def search_many(
        self,
        queries: Sequence[str],
        k: int | None = None,
        mode: Mode | None = None,
        where: Where | None = None,
    ) -> list[list[Hit]]:
        """`search` for each query; the encoder sees all of them at once."""
        wanted = self.settings.k if k is None else k
        _check_k(wanted, 0)
        folder = self._folder
        return [
            _hits(folder, found, 0)
            for found in self._documents(folder, queries, wanted, mode, where, whole=True)
        ]

    def rank(
        self,
        queries: Sequence[str],
        depth: int = 100,
        mode: Mode | None = None,
        where: Where | None = None,
    ) -> list[Ranking]:
        """Document ids and scores for each query, `depth` deep: what an evaluation turns into a run."""
        _check_k(depth, 0)
        folder = self._folder
        rankings = []
        for found in self._documents(folder, queries, depth, mode, where):
            rankings.append([(entry.id, entry.score) for entry in found])
        return rankings

    def score(self, query: str, document_ids: Sequence[str], mode: Mode | None = None) -> Scores:
        """The score each document would have, whether or not a search would reach it; (len(ids),).

        `interleave` and `convex` give the very score of a search (without a filter). The other methods
        scale or rank by the documents asked for, since that is the only list there is.
        Raises ConfigError for an id that is not in the index.
        """
        folder = self._folder
        passages = folder.passages(document_ids)
        missing = [id_ for id_ in document_ids if id_ not in passages]
        if missing:
            raise ConfigError(f"not in the index: {', '.join(map(repr, missing[:5]))}")
        mode = self._checked(query, mode, None)
        ids = [passage for id_ in document_ids for passage in passages[id_]]
        method = self.settings.fusion.method
        if method == "interleave" and mode == "hybrid":  # beside what a search would find
            pool = offered(folder, [query], self.settings.pool, mode, None)[0]
            known = set(pool.rows.tolist())
            others = [id_ for id_ in dict.fromkeys(ids) if int(id_) not in known]
            pool = joined(pool, asked_for(folder, query, others, mode))
        else:
            pool = asked_for(folder, query, ids, mode)
            pool = ranked(pool) if method == "rrf" else pool  # among the documents asked for
        places = {row: place for place, row in enumerate(pool.rows.tolist())}
        scores = self._fused(folder, query, pool, mode).score[[places[int(id_)] for id_ in ids]]
        starts = np.cumsum([0, *(len(passages[id_]) for id_ in document_ids)])[:-1]
        return np.maximum.reduceat(scores, starts) if len(ids) else np.zeros(0)

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
        self._folder.check_where(where)
        return chosen

    def _documents(
        self,
        folder: IndexFolder,
        queries: Sequence[str],
        wanted: int,
        mode: Mode | None,
        where: Where | None,
        whole: bool = False,
    ) -> list[list[_Found]]:
        chosen: Mode = "hybrid"
        for query in queries:
            chosen = self._checked(query, mode, where)
        size = self.settings.pool
        while size < wanted:  # doubled, so that neighbouring pages mostly come from one pool
            size *= 2
        pools = offered(folder, queries, size, chosen, where)
        for _ in range(4):  # long documents have many passages: ask for more until there are enough
            found = [
                self._best(folder, q, pool, chosen) for q, pool in zip(queries, pools, strict=True)
            ]
            full = [len(pool.rows) >= size for pool in pools]
            if all(len(f) >= wanted or not more for f, more in zip(found, full, strict=True)):
                break
            size *= 4
            pools = offered(folder, queries, size, chosen, where)
        return [_named(folder, best, wanted, chosen, whole) for best in found]

    def _best(self, folder: IndexFolder, query: str, pool: Pool, mode: Mode) -> _Best:
        """Each document's best passage, best first; ties by passage."""
        rows = pool.rows
        if not len(rows):
            none = np.zeros(0)
            return _Best(pool, fusion.Fused(none, none), none, rows, rows, rows)
        fused = self._fused(folder, query, pool, mode)
        score = fused.score
        documents = folder.store.documents_of(rows)
        order = np.lexsort((rows, -score))  # best first
        places = order[_firsts(documents[order])]
        return _Best(pool, fused, score[places], places, documents[places], rows[places])

    def _fused(self, folder: IndexFolder, query: str, pool: Pool, mode: Mode) -> fusion.Fused:
        none = np.zeros(len(pool.rows))
        if mode == "dense":
            return fusion.Fused(pool.dense, none)
        if mode == "lexical":
            return fusion.Fused(none, pool.lexical)
        settings = self.settings.fusion
        if settings.method == "rrf":
            return fusion.rrf(pool.dense_ranks, pool.lexical_ranks, settings.rrf_k)
        chances: Mapping[str, float] = {}
        if settings.language_weights:
            chances = languages.distribution(query, folder.languages)
        weight = _weight(settings, chances)
        if settings.method == "minmax":
            return fusion.minmax(pool.dense, pool.lexical, weight)
        if settings.method == "zscore":
            return fusion.zscore(pool.dense, pool.lexical, weight)
        if settings.method == "combmnz":
            return fusion.combmnz(pool.dense, pool.lexical, weight)
        sides = pool.dense, pool.lexical, folder.dense.bounds(query), folder.lexical.bounds(query)
        within = fusion.convex(*sides, weight)
        if settings.method == "convex":
            return within
        spoken = folder.store.languages_of(pool.rows)
        standard = np.minimum(pool.dense_ranks, pool.lexical_ranks) <= self.settings.pool
        return fusion.interleave(within, fusion.across(*sides), spoken, standard)


@dataclass(frozen=True, slots=True)
class _Best:
    """Documents of one query, each at its best passage, best first; (documents,) each."""

    pool: Pool
    fused: fusion.Fused
    scores: Scores
    places: NDArray[np.int64]
    """Where the passage stands in the pool."""
    numbers: NDArray[np.int64]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.places)

    def parts(self, place: int, mode: Mode) -> dict[str, Part]:
        pool, fused = self.pool, self.fused
        parts: dict[str, Part] = {}
        if mode != "lexical":
            parts["dense"] = Part(
                float(pool.dense[place]), _rank(pool.dense_ranks[place]), float(fused.dense[place])
            )
        if mode != "dense":
            parts["lexical"] = Part(
                float(pool.lexical[place]),
                _rank(pool.lexical_ranks[place]),
                float(fused.lexical[place]),
            )
        return parts


@dataclass(frozen=True, slots=True)
class _Found:
    """A document found: its id and number, its best passage's row, itself if it was asked for whole."""

    id: str
    number: int
    row: int
    score: float
    parts: Mapping[str, Part]
    document: Document | None


def _firsts(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each value stands for the first time, ascending."""
    order = np.argsort(values, kind="stable")
    new = np.ones(len(values), np.bool_)
    new[1:] = values[order[1:]] != values[order[:-1]]
    return np.sort(order[new])


def _check_k(k: int, offset: int) -> None:
    if k < 1:
        raise ConfigError(f"k must be at least 1, not {k}")
    if offset < 0:
        raise ConfigError(f"offset must be at least 0, not {offset}")


def _rank(rank: float) -> int | None:
    return int(rank) if math.isfinite(rank) else None


def _weight(settings: FusionSettings, chances: Mapping[str, float]) -> float:
    """The lexical weight: the query's languages' own, by their chances, where they have one."""
    if not settings.language_weights:
        return settings.lexical_weight
    total = sum(chances.values())
    if total <= 0:
        return settings.lexical_weight
    weights = settings.language_weights
    return (
        sum(p * weights.get(lang, settings.lexical_weight) for lang, p in chances.items()) / total
    )


def _named(folder: IndexFolder, best: _Best, wanted: int, mode: Mode, whole: bool) -> list[_Found]:
    """The best `wanted`, with their ids; equal scores in the order of the ids."""
    end = min(wanted, len(best))
    while end < len(best) and best.scores[end] == best.scores[end - 1]:
        end += 1  # ties at the border are settled by id, so their ids are needed too
    columns = (best.numbers, best.rows, best.scores, best.places)
    entries = list(zip(*(column[:end].tolist() for column in columns), strict=True))
    numbers = [number for number, *_ in entries]
    documents = folder.store.documents(numbers) if whole else {}
    ids = {n: d.id for n, d in documents.items()} if whole else folder.store.ids(numbers)
    found = [
        _Found(ids[number], number, row, score, best.parts(place, mode), documents.get(number))
        for number, row, score, place in entries
    ]
    found.sort(key=lambda entry: (-entry.score, entry.id))
    return found[:wanted]


def _hits(folder: IndexFolder, found: Sequence[_Found], offset: int) -> list[Hit]:
    documents = folder.store.documents([e.number for e in found if e.document is None])
    records = folder.store.passages[[entry.row for entry in found]].tolist()
    hits = []
    for rank, (entry, (_, number, start, end, _)) in enumerate(
        zip(found, records, strict=True), offset + 1
    ):
        document = entry.document or documents[entry.number]
        passage = Passage(document.id, number, document.text[start:end], start, end)
        hits.append(Hit(document, passage, entry.score, rank, entry.parts))
    return hits
