"""The passages that both sides of an index offer for a query, each with the score of either side.

The two sides are asked at the same time when nothing else is searched for: FAISS and tantivy let go of
Python's lock, so a second core can work. With several searches under way each has a core of its own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexer.folder import IndexFolder
from indexer.schema import Index, Mode, Ranking, Where
from indexer.threads import cores

__all__ = ["Pool", "asked_for", "joined", "offered", "ranked"]

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pool:
    """Candidate passages of one query, (n,) each; a rank is infinite where that side did not find it."""

    rows: NDArray[np.int64]
    dense: Scores
    lexical: Scores
    dense_ranks: Scores
    lexical_ranks: Scores


def offered(
    folder: IndexFolder, queries: Sequence[str], size: int, mode: Mode, where: Where | None
) -> list[Pool]:
    """The `size` best passages of each side for each query; what one side did not find, it scores."""
    empty: list[Ranking] = [[] for _ in queries]
    if mode == "hybrid" and len(queries) == 1:
        with _alone() as second:
            if second is not None:
                return [_at_once(folder, queries[0], size, where, second)]
    dense = folder.dense.search(queries, size, where) if mode != "lexical" else empty
    lexical = folder.lexical.search(queries, size, where) if mode != "dense" else empty
    pools = []
    for query, by_meaning, by_words in zip(queries, dense, lexical, strict=True):
        ids = list(dict.fromkeys([*(i for i, _ in by_meaning), *(i for i, _ in by_words)]))
        pools.append(_back_filled(folder, query, ids, dict(by_meaning), dict(by_words), mode))
    return pools


def asked_for(folder: IndexFolder, query: str, ids: list[str], mode: Mode) -> Pool:
    """The pool of these passages, scored by both sides, found by neither."""
    return _back_filled(folder, query, ids, {}, {}, mode)


def joined(first: Pool, second: Pool) -> Pool:
    """The passages of both, in this order; none may stand in both."""
    columns = ((getattr(first, f.name), getattr(second, f.name)) for f in dataclasses.fields(Pool))
    return Pool(*(np.concatenate(pair) for pair in columns))


def _at_once(
    folder: IndexFolder, query: str, size: int, where: Where | None, second: ThreadPoolExecutor
) -> Pool:
    """The pool of a hybrid search. Words are searched for in a second thread; whoever is first ready
    has the words score what was found by meaning, those found by words as well if that is not known yet.
    """
    words = second.submit(folder.lexical.search, [query], size, where)
    try:
        dense = dict(folder.dense.search([query], size, where)[0])
        early: dict[str, float] = {}
        if not words.done():
            early = _scored(folder.lexical, query, list(dense))
    finally:
        found = words.result()  # nothing may go on in an index that its reader has closed
    lexical = dict(found[0])
    ids = list(dict.fromkeys([*dense, *lexical]))
    return _back_filled(folder, query, ids, dense, lexical, "hybrid", early)


def _scored(side: Index, query: str, ids: list[str]) -> dict[str, float]:
    return dict(zip(ids, side.score(query, ids).tolist(), strict=True)) if ids else {}


def _back_filled(
    folder: IndexFolder,
    query: str,
    ids: list[str],
    dense: Mapping[str, float],
    lexical: Mapping[str, float],
    mode: Mode,
    early: Mapping[str, float] | None = None,
) -> Pool:
    """The pool of these passages; a score a side did not give, `early` neither, is asked of it."""
    sides: list[tuple[Index, Mapping[str, float], Mapping[str, float], bool]] = [
        (folder.dense, dense, {}, mode != "lexical"),
        (folder.lexical, lexical, early or {}, mode != "dense"),
    ]
    scores, ranks = [], []
    for side, known, besides, wanted in sides:
        given = {**besides, **known} if besides else known
        missing = [id_ for id_ in ids if id_ not in given] if wanted else []
        if missing:
            given = {**given, **_scored(side, query, missing)}
        scores.append(np.array([given[i] for i in ids]) if wanted else np.zeros(len(ids)))
        places = dict(zip(known, range(1, len(known) + 1), strict=True))
        ranks.append(np.array([places.get(id_, math.inf) for id_ in ids]))
    rows = np.array([int(id_) for id_ in ids], np.int64)
    return Pool(rows, scores[0], scores[1], ranks[0], ranks[1])


def ranked(pool: Pool) -> Pool:
    """The pool with ranks by its own scores; a lexical score of 0 is no rank."""
    ranks = []
    for scores in (pool.dense, pool.lexical):
        places = np.empty(len(pool.rows))
        places[np.lexsort((pool.rows, -scores))] = np.arange(1, len(pool.rows) + 1)
        ranks.append(places)
    ranks[1][pool.lexical <= 0] = math.inf
    return Pool(pool.rows, pool.dense, pool.lexical, ranks[0], ranks[1])


_counting = threading.Lock()
_under_way = 0  # hybrid searches of this process


@contextlib.contextmanager
def _alone() -> Iterator[ThreadPoolExecutor | None]:
    """Threads for the second side of this search; None when every core has a search already."""
    global _under_way
    with _counting:
        _under_way += 1
        free = 2 * _under_way <= cores()
    try:
        yield _second(os.getpid()) if free else None
    finally:
        with _counting:
            _under_way -= 1


@functools.lru_cache(maxsize=1)
def _second(process: int) -> ThreadPoolExecutor:
    """A process that was forked has none of its parent's threads, and makes its own."""
    return ThreadPoolExecutor(cores(), "tandem-words")
