"""What is measured of Tandem; each function runs in a process of its own (`benchmarks.measure`)."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.inputs import documents, queries
from benchmarks.measure import ROOT, memory, percentiles, timed

if TYPE_CHECKING:
    from indexer.schema import Mode
    from retriever.retriever import Retriever

__all__ = ["build", "latency", "lexical_side", "opening", "recall", "start"]

K = 10


def build(
    file: str,
    folder: str,
    encoder: str,
    detect: bool = False,
    factory: str = "auto",
    workers: int | None = None,
) -> dict[str, Any]:
    """From a JSONL file to a committed index folder, as `tandem index build` does it."""
    from configs.settings import DenseSettings
    from indexer.build import build_index
    from indexer.encoders.opening import open_encoder
    from indexer.threads import cores

    shutil.rmtree(folder, ignore_errors=True)
    opened = open_encoder(encoder)
    many = cores() if workers is None else workers
    begun = time.perf_counter()
    report = build_index(
        folder,
        documents(file, detect),
        opened,
        model=encoder,
        dense=DenseSettings(factory=factory),
        workers=many if many > 1 else 0,
    )
    seconds = time.perf_counter() - begun
    parts: dict[str, float] = {}
    for entry in sorted(Path(folder).rglob("*")):
        if entry.is_file():
            part = entry.relative_to(folder).parts[0].partition("-")[0]
            parts[part] = parts.get(part, 0.0) + entry.stat().st_size / 2**20
    return {
        "passages": report.passages,
        "seconds": round(seconds, 3),
        "per_second": round(report.passages / seconds, 1),
        "disk_mb": round(sum(parts.values()), 1),
        "disk_parts_mb": {name: round(size, 1) for name, size in parts.items()},
    }


def opening(folder: str, query_file: str) -> dict[str, Any]:
    """Seconds to open an index and to answer its first query, in a process that has done nothing yet.

    The imports are counted apart: a server has done them when it opens an index.
    """
    query = queries(query_file, 1)[0]
    begun = time.perf_counter()
    from retriever.retriever import Retriever

    imported = time.perf_counter()
    retriever = Retriever.open(folder)
    opened = time.perf_counter()
    retriever.search(query, k=K)
    first = time.perf_counter()
    return {
        "import_seconds": round(imported - begun, 4),
        "open_seconds": round(opened - imported, 4),
        "first_query_seconds": round(first - opened, 4),
        "open_and_first_ms": round(1000 * (first - imported), 2),
    }


def start(folder: str, query_file: str) -> dict[str, Any]:
    """Seconds of the whole command `tandem search QUERY -i INDEX`, from nothing to its answer."""
    import subprocess

    query = queries(query_file, 1)[0]
    begun = time.perf_counter()
    subprocess.run(
        [sys.executable, str(ROOT / "tandem.py"), "search", "-i", folder, "--", query],
        check=True,
        capture_output=True,
        cwd=ROOT,
    )
    return {"seconds": round(time.perf_counter() - begun, 4)}


def _shown(retriever: Retriever, mode: Mode) -> Callable[[str], object]:
    """A search as a page shows it: ten documents and their snippets."""
    from retriever.snippets import snippet

    return lambda query: [
        snippet(hit, query, 200) for hit in retriever.search(query, k=K, mode=mode)
    ]


def latency(folder: str, query_file: str, count: int, clients: int) -> dict[str, Any]:
    """Milliseconds of a search in each mode, documents and snippets included; memory before and after."""
    from indexer.folder import IndexFolder
    from retriever.retriever import Retriever

    asked = queries(query_file, count)
    before = memory()
    index = IndexFolder.open(folder)
    retriever = Retriever(index)
    opened = memory()
    modes: tuple[Mode, ...] = ("hybrid", "dense", "lexical")
    found: dict[str, Any] = {
        mode: asdict(percentiles(timed(_shown(retriever, mode), asked))) for mode in modes
    }
    found["several_clients"] = _together(_shown(retriever, "hybrid"), asked, clients)
    after = memory()
    found["memory_mb"] = {
        "before": {"rss": round(before[0], 1), "private": round(before[1], 1)},
        "opened": {"rss": round(opened[0], 1), "private": round(opened[1], 1)},
        "after_queries": {"rss": round(after[0], 1), "private": round(after[1], 1)},
    }
    found["factory"] = index.dense.factory
    found["probes"] = index.dense.probes
    return found


def _together(search: Callable[[str], object], asked: list[str], clients: int) -> dict[str, Any]:
    """Latency and queries a second with `clients` threads, each asking its own share of the queries."""
    shares = [asked[client::clients] for client in range(clients)]
    begun = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        seconds = [
            s for share in pool.map(lambda mine: timed(search, mine, 0), shares) for s in share
        ]
    elapsed = time.perf_counter() - begun
    return {
        "clients": clients,
        "queries_per_second": round(len(asked) / elapsed, 1),
        **asdict(percentiles(seconds)),
    }


def lexical_side(
    folder: str,
    query_file: str,
    count: int,
    file: str = "",
    encoder: str = "fast",
    firsts: Sequence[int] = (),
) -> dict[str, Any]:
    """Milliseconds of the search by words alone, down to passage ids: what bm25s and rank-bm25 give.

    `whole` has documents and snippets besides; `p50_of_first` the medians of the first queries, as many
    as a slower peer was asked. The index is built from `file` first where there is none.
    """
    from indexer.folder import IndexFolder
    from retriever.retriever import Retriever

    if not (Path(folder) / "manifest.json").is_file():
        build(file, folder, encoder)
    index = IndexFolder.open(folder)
    retriever, asked = Retriever(index), queries(query_file, count)

    def search(text: str) -> object:
        return index.lexical.search(index.queries([text])[0], K)

    seconds = timed(search, asked)
    return {
        **asdict(percentiles(seconds)),
        "p50_of_first": {str(n): percentiles(seconds[:n]).p50 for n in firsts},
        "whole": asdict(percentiles(timed(_shown(retriever, "lexical"), asked))),
    }


def recall(folder: str, query_file: str, count: int) -> dict[str, Any]:
    """Share of the exact ten (and hundred) nearest passages that the index's dense side gives."""
    import numpy as np

    from indexer.folder import IndexFolder

    index = IndexFolder.open(folder)
    vectors = index.encoder.encode(queries(query_file, count), kind="query")
    vectors = vectors[vectors.any(axis=1)]
    found: dict[str, Any] = {"queries": len(vectors)}
    best = np.full((len(vectors), 0), -1, np.int64)
    scores = np.zeros((len(vectors), 0), np.float32)
    for first in range(0, len(index.store), 65_536):
        rows = np.arange(first, min(first + 65_536, len(index.store)))
        scores = np.hstack([scores, vectors @ index.store.take(rows).T])
        best = np.hstack([best, np.broadcast_to(rows, (len(vectors), len(rows)))])
        kept = np.argsort(-scores, axis=1, kind="stable")[:, :100]
        scores, best = np.take_along_axis(scores, kept, 1), np.take_along_axis(best, kept, 1)
    _, rows = index.dense.neighbours(vectors, 100)
    for k in (K, min(100, best.shape[1])):
        # a row whose exact score equals the k-th is as good as the k-th: ties are no mistakes
        shares = []
        for i in range(len(vectors)):
            mine = index.store.take(rows[i, :k][rows[i, :k] >= 0]) @ vectors[i]
            shares.append(float((mine >= scores[i, k - 1] - 1e-6).sum()) / k)
        found["at_10" if k == K else "at_100"] = round(float(np.mean(shares)), 4)
    return found
