"""Speed and size of an encoder and an index: encoding, indexing, searching.

Every figure is wall-clock time of this process on this machine; a first round that fills caches is not
counted. Percentiles are over single calls.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from configs.errors import DocumentError
from configs.settings import ElasticsearchSettings
from indexer.elastic.address import is_address
from indexer.schema import Encoder, Mode
from retriever.retriever import Retriever

__all__ = [
    "Encoding",
    "Latency",
    "Machine",
    "Size",
    "encoding",
    "latency",
    "machine",
    "search_latency",
    "size",
    "timed",
]

WARM = 5  # calls before the clock counts


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds of one call."""

    calls: int
    mean: float
    p50: float
    p90: float
    p99: float
    slowest: float


@dataclass(frozen=True, slots=True)
class Encoding:
    """Texts one at a time, as a search does, and all at once, as indexing does."""

    texts: int
    single: Latency
    texts_per_second: float


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes on disk of an index folder, all together, by part, and for each passage."""

    bytes: int
    parts: dict[str, int]
    per_passage: float


@dataclass(frozen=True, slots=True)
class Machine:
    """What the figures were measured on."""

    system: str
    processor: str
    cores: int
    """Cores this process may use."""
    python: str


def latency(seconds: Sequence[float]) -> Latency:
    """Percentiles by linear interpolation between calls, in milliseconds."""
    if not len(seconds):
        raise DocumentError("there is nothing to time: no query")
    ms = np.asarray(seconds, dtype=np.float64) * 1000
    p50, p90, p99 = np.percentile(ms, [50, 90, 99])
    return Latency(len(ms), float(ms.mean()), float(p50), float(p90), float(p99), float(ms.max()))


def timed(call: Callable[[str], object], texts: Iterable[str]) -> list[float]:
    """Seconds of each call."""
    seconds = []
    for text in texts:
        start = time.perf_counter()
        call(text)
        seconds.append(time.perf_counter() - start)
    return seconds


def encoding(
    encoder: Encoder, texts: Sequence[str], steps: Iterable[str] | None = None
) -> Encoding:
    """Each text alone as a query, then all together as passages. `steps`: `texts` behind a progress bar."""
    if not texts:
        raise DocumentError("there is nothing to encode")
    for text in texts[:WARM]:
        encoder.encode([text], kind="query")
    single = latency(timed(lambda text: encoder.encode([text], kind="query"), steps or texts))
    start = time.perf_counter()
    encoder.encode(texts, kind="passage")
    return Encoding(len(texts), single, len(texts) / (time.perf_counter() - start))


def search_latency(
    retriever: Retriever,
    queries: Sequence[str],
    mode: Mode,
    k: int,
    steps: Iterable[str] | None = None,
) -> Latency:
    """Whole searches in one mode: encoding the query, both sides, fusion, reading the documents.

    Queries should differ: a repeated one may be answered from a cache.
    """
    for query in queries[:WARM]:
        retriever.search(query, k=k, mode=mode)
    return latency(timed(lambda query: retriever.search(query, k=k, mode=mode), steps or queries))


def size(
    path: str | Path, passages: int, elasticsearch: ElasticsearchSettings | None = None
) -> Size:
    """Bytes of every file of an index folder, summed by its first folder or file; of es://NAME, in all."""
    if isinstance(path, str) and is_address(path):
        from indexer.cluster_verify import cluster_info

        found = cluster_info(path, elasticsearch)
        return Size(found.bytes, {found.index: found.bytes}, found.bytes / max(1, passages))
    root = Path(path)
    parts: dict[str, int] = {}
    for file in sorted(root.rglob("*")):
        if file.is_file():
            name = file.relative_to(root).parts[0]
            parts[name] = parts.get(name, 0) + file.stat().st_size
    total = sum(parts.values())
    return Size(total, parts, total / passages if passages else 0.0)


def machine() -> Machine:
    """This machine, as far as the standard library knows it."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    processor = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        processor = names[0].partition(":")[2].strip() if names else processor
    return Machine(platform.platform(), processor, cores, platform.python_version())
