"""Which FAISS factory at which size: what `indexer.search.dense.choose_factory` and `default_probes` stand on.

    python -m benchmarks.factories INDEX QUERIES --sizes 20000,100000 --factory Flat --factory HNSW32

Each factory is trained on and filled with the first passages of an index, as `indexer.search.dense` does it, and
searched with held-out queries for 600 candidates, whose exact scores give the hundred that count.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.inputs import queries
from benchmarks.measure import percentiles
from configs.errors import TandemError

if TYPE_CHECKING:
    from indexer.schema import Matrix
    from indexer.storage.store import Store

__all__ = ["study"]

K, WANTED, CANDIDATES = 10, 100, 600


def study(
    vectors: Matrix, asked: Matrix, factories: Sequence[str], probes: Sequence[int]
) -> Iterator[dict[str, Any]]:
    """One record a factory and number of probes: build seconds, MB, recall at 10, milliseconds a query."""
    from indexer.search.dense import read_ann, write_ann

    exact = _exact(vectors, asked)
    for factory in factories:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "index.faiss"
            begun = time.perf_counter()
            write_ann(file, cast("Store", _Rows(vectors)), factory)
            seconds = time.perf_counter() - begun
            size = file.stat().st_size / 2**20
            index = read_ann(file, vectors.shape[1], len(vectors), factory)
        for count in [0] if factory == "Flat" else probes:
            times, shares = [], []
            for vector, best in zip(asked, exact, strict=True):
                begun = time.perf_counter()
                found = _search(index, factory, vector[None, :], count)
                taken = np.sort(found[found >= 0])
                scores = vectors[taken] @ vector
                mine = taken[np.argsort(-scores, kind="stable")[:WANTED]]
                times.append(time.perf_counter() - begun)
                shares.append(float((vectors[mine[:K]] @ vector >= best - 1e-6).sum()) / K)
            took = percentiles(times)
            yield {
                "passages": len(vectors),
                "factory": factory,
                "probes": count,
                "build_seconds": round(seconds, 1),
                "mb": round(size, 1),
                "recall_at_10": round(float(np.mean(shares)), 4),
                "p50_ms": took.p50,
                "p99_ms": took.p99,
            }


class _Rows:
    """As much of a store as FAISS is filled from."""

    def __init__(self, vectors: Matrix) -> None:
        self._vectors = vectors
        self.dim = vectors.shape[1]

    def __len__(self) -> int:
        return len(self._vectors)

    def take(self, rows: NDArray[np.int64]) -> Matrix:
        return self._vectors[rows]


def _exact(vectors: Matrix, asked: Matrix) -> NDArray[np.float32]:
    """The score of each query's tenth best passage, (n,)."""
    best = np.full((len(asked), 0), -1, np.float32)
    for start in range(0, len(vectors), 65_536):
        best = np.hstack([best, asked @ vectors[start : start + 65_536].T])
        best = -np.partition(-best, K - 1, axis=1)[:, :K]
    return np.asarray(best.min(axis=1))


def _search(index: Any, factory: str, vector: Matrix, probes: int) -> NDArray[np.int64]:
    from indexer.threads import faiss

    parameters = None
    if "HNSW" in factory and "IVF" not in factory:
        parameters = faiss().SearchParametersHNSW(efSearch=max(probes, CANDIDATES))
    elif "IVF" in factory:
        parameters = faiss().SearchParametersIVF(nprobe=probes)
    _, rows = index.search(vector, CANDIDATES, params=parameters)
    return np.asarray(rows[0], np.int64)


@click.command(epilog="Example: python -m benchmarks.factories big.index queries.jsonl")
@click.argument("index")
@click.argument("query_file", metavar="QUERIES")
@click.option("--sizes", default="20000,100000", show_default=True, metavar="N,N,...")
@click.option(
    "--factory", "factories", multiple=True, default=("Flat", "HNSW32"), show_default=True
)
@click.option("--probes", default="16,32,64,128", show_default=True, metavar="N,N,...")
@click.option("--count", default=500, show_default=True, help="Queries asked.")
def main(
    index: str, query_file: str, sizes: str, factories: tuple[str, ...], probes: str, count: int
) -> None:
    """A JSON line for each size, factory and number of probes."""
    from indexer.folder import IndexFolder

    try:
        opened = IndexFolder.open(index)
        asked = opened.encoder.encode(queries(query_file, count), kind="query")
        for size in map(int, sizes.split(",")):
            vectors = opened.store.take(np.arange(min(size, len(opened.store))))
            for record in study(vectors, asked, factories, [int(n) for n in probes.split(",")]):
                click.echo(json.dumps(record))
                sys.stdout.flush()
    except TandemError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
