"""The passages that the signals of a folder find for a query, each scored by every signal.

Lexical and dense search run at the same time when no other search is under way: FAISS and tantivy release
Python's lock, so a second core can work. With several searches under way each has a core of its own.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from indexer.schema import Candidates, Index, Keys, Pool, Query, Scores, SignalName, Where
from indexer.threads import cores

__all__ = ["pool_of", "pools"]

Indexes = Mapping[SignalName, Index]


def pools(
    indexes: Indexes, queries: Sequence[Query], size: int, where: Where | None = None
) -> list[Pool]:
    """For each query the `size` best passages of each index, all of them scored by every index."""
    if indexes.keys() == {"dense", "lexical"} and len(queries) == 1:
        with _spare_thread() as second:
            if second is not None:
                return [_in_two_threads(indexes, queries[0], size, where, second)]
    found = {name: index.search_many(queries, size, where) for name, index in indexes.items()}
    return [
        _merged(indexes, query, {name: lists[i] for name, lists in found.items()})
        for i, query in enumerate(queries)
    ]


def pool_of(indexes: Indexes, query: Query, keys: Keys) -> Pool:
    """The pool of these passages: scored by every index, found by none."""
    unranked = np.full(len(keys), math.inf)
    scores = {name: index.score(query, keys) for name, index in indexes.items()}
    return Pool(keys, scores, dict.fromkeys(indexes, unranked))


def _in_two_threads(
    indexes: Indexes, query: Query, size: int, where: Where | None, second: ThreadPoolExecutor
) -> Pool:
    """Lexical search runs in the second thread; if dense search finishes first, its hits are scored
    lexically meanwhile."""
    dense, lexical = indexes["dense"], indexes["lexical"]
    searching = second.submit(lexical.search, query, size, where)
    try:
        by_meaning = dense.search(query, size, where)
        early = None
        if not searching.done():
            early = Candidates(by_meaning.keys, lexical.score(query, by_meaning.keys))
    finally:
        by_words = searching.result()  # it must not outlive this call: the index may be closed
    found: dict[SignalName, Candidates] = {"dense": by_meaning, "lexical": by_words}
    return _merged(indexes, query, found, {} if early is None else {"lexical": early})


def _merged(
    indexes: Indexes,
    query: Query,
    found: Mapping[SignalName, Candidates],
    scored: Mapping[SignalName, Candidates] | None = None,
) -> Pool:
    """All passages found, each once. A score that an index neither gave with its list (`found`) nor before
    (`scored`) is asked of it."""
    listed = np.concatenate([candidates.keys for candidates in found.values()])
    place = {key: i for i, key in enumerate(dict.fromkeys(listed.tolist()))}
    keys = np.array(list(place), listed.dtype)
    scores: dict[SignalName, Scores] = {}
    ranks: dict[SignalName, Scores] = {}
    for name, index in indexes.items():
        mine, rank = np.full(len(keys), math.nan), np.full(len(keys), math.inf)
        if scored and name in scored:
            mine[[place[key] for key in scored[name].keys.tolist()]] = scored[name].scores
        own = [place[key] for key in found[name].keys.tolist()]
        mine[own] = found[name].scores
        rank[own] = np.arange(1, len(own) + 1)
        missing = np.isnan(mine)
        if missing.any():
            mine[missing] = index.score(query, keys[missing])
        scores[name], ranks[name] = mine, rank
    return Pool(keys, scores, ranks)


_counting = threading.Lock()
_under_way = 0  # searches of this process that could use a second thread


@contextlib.contextmanager
def _spare_thread() -> Iterator[ThreadPoolExecutor | None]:
    """A second thread for one search; None when every core has a search already."""
    global _under_way
    with _counting:
        _under_way += 1
        free = 2 * _under_way <= cores()
    try:
        yield _executor(os.getpid()) if free else None
    finally:
        with _counting:
            _under_way -= 1


@functools.lru_cache(maxsize=1)
def _executor(process: int) -> ThreadPoolExecutor:
    """A process that was forked has none of its parent's threads, and makes its own."""
    return ThreadPoolExecutor(cores(), "tandem-lexical")
