"""The peers, each as its documentation says to use it, with Tandem's encoder and Tandem's inputs.

    txtai                hybrid (its FAISS and its BM25 in SQLite), texts kept; saved to disk
    bm25s-faiss          bm25s and FAISS's exact search, fused by reciprocal ranks; saved to disk
    bm25s, rank-bm25     words alone
    semantic-search      sentence_transformers.util.semantic_search over vectors in memory

Each answers with ten texts. Those without an analyser of their own split words by `\\w+`, lower case.
"""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.inputs import queries, texts
from benchmarks.measure import memory, percentiles, timed

__all__ = ["PEERS", "run", "version"]

K, POOL = 10, 100
_WORD = re.compile(r"\w+")

Search = Callable[[str], list[str]]


def run(
    peer: str, file: str, folder: str, encoder: str, query_file: str, count: int
) -> dict[str, Any]:
    """Build from the file, search every query; both in this process."""
    from indexer.encoders.opening import open_encoder

    shutil.rmtree(folder, ignore_errors=True)
    Path(folder).mkdir(parents=True)
    opened = open_encoder(encoder)
    maker = PEERS[peer][1]
    begun = time.perf_counter()
    taken = texts(file)
    search = maker(taken, opened, Path(folder))
    seconds = time.perf_counter() - begun
    size = sum(entry.stat().st_size for entry in Path(folder).rglob("*") if entry.is_file())
    found = asdict(percentiles(timed(search, queries(query_file, count), warm=2)))
    rss, private = memory()
    return {
        "version": version(peer),
        "passages": len(taken),
        "seconds": round(seconds, 3),
        "per_second": round(len(taken) / seconds, 1),
        "disk_mb": round(size / 2**20, 1),
        "latency": found,
        "memory_mb": {"rss": round(rss, 1), "private": round(private, 1)},
    }


def version(peer: str) -> str:
    return importlib.metadata.version(PEERS[peer][0])


def _txtai(taken: Sequence[str], encoder: Any, folder: Path) -> Search:
    from txtai import Embeddings

    index = Embeddings(
        method="external",
        transform=lambda batch: encoder.encode(list(batch)),
        hybrid=True,
        content=True,
        backend="faiss",
    )
    index.index(taken)
    index.save(str(folder / "txtai"))
    return lambda query: [hit["text"] for hit in index.search(query, K)]


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _bm25s_index(taken: Sequence[str], folder: Path) -> Any:
    import bm25s

    index = bm25s.BM25()
    tokens = bm25s.tokenize(
        list(taken), token_pattern=r"(?u)\w+", stopwords=None, show_progress=False
    )
    index.index(tokens, show_progress=False)
    index.save(str(folder / "bm25s"))
    return index


def _bm25s_ids(index: Any, query: str, k: int) -> list[int]:
    import bm25s

    tokens = bm25s.tokenize(query, token_pattern=r"(?u)\w+", stopwords=None, show_progress=False)
    found, _ = index.retrieve(tokens, k=k, show_progress=False)
    return [int(number) for number in found[0]]


def _bm25s(taken: Sequence[str], encoder: Any, folder: Path) -> Search:
    index = _bm25s_index(taken, folder)
    return lambda query: [taken[i] for i in _bm25s_ids(index, query, K)]


def _bm25s_faiss(taken: Sequence[str], encoder: Any, folder: Path) -> Search:
    from indexer.threads import faiss

    words = _bm25s_index(taken, folder)
    meaning = faiss().IndexFlatIP(encoder.dim)
    for start in range(0, len(taken), 4096):
        meaning.add(encoder.encode(list(taken[start : start + 4096])))
    faiss().write_index(meaning, str(folder / "flat.faiss"))

    def search(query: str) -> list[str]:
        _, near = meaning.search(encoder.encode([query], kind="query"), POOL)
        scores: dict[int, float] = {}
        for ranking in (near[0].tolist(), _bm25s_ids(words, query, POOL)):
            for rank, number in enumerate(ranking, 1):
                scores[number] = scores.get(number, 0.0) + 1 / (60 + rank)
        best = sorted(scores, key=lambda number: (-scores[number], number))[:K]
        return [taken[number] for number in best]

    return search


def _rank_bm25(taken: Sequence[str], encoder: Any, folder: Path) -> Search:
    from rank_bm25 import BM25Okapi

    index = BM25Okapi([_words(text) for text in taken])
    return lambda query: list(index.get_top_n(_words(query), taken, n=K))


def _semantic_search(taken: Sequence[str], encoder: Any, folder: Path) -> Search:
    import numpy as np
    import torch
    from sentence_transformers.util import semantic_search

    blocks = [encoder.encode(list(taken[i : i + 4096])) for i in range(0, len(taken), 4096)]
    vectors = torch.from_numpy(np.concatenate(blocks))

    def search(query: str) -> list[str]:
        asked = torch.from_numpy(encoder.encode([query], kind="query"))
        return [taken[int(hit["corpus_id"])] for hit in semantic_search(asked, vectors, top_k=K)[0]]

    return search


Maker = Callable[[Sequence[str], Any, Path], Search]
PEERS: dict[str, tuple[str, Maker]] = {  # name: (distribution, how it is made)
    "txtai": ("txtai", _txtai),
    "bm25s-faiss": ("bm25s", _bm25s_faiss),
    "bm25s": ("bm25s", _bm25s),
    "rank-bm25": ("rank-bm25", _rank_bm25),
    "semantic-search": ("sentence-transformers", _semantic_search),
}
