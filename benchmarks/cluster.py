"""`python -m benchmarks.cluster`: an index in Elasticsearch beside the same index in a folder, in one run.

One node on loopback, started for it (`make elasticsearch`), with the heap that is named. The same documents,
queries and encoder; a search is timed as a page makes it, documents and snippets included.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.collection import data_folder, prepare, subset
from benchmarks.inputs import documents, queries
from benchmarks.measure import median, percentiles, timed
from configs.errors import TandemError
from configs.settings import ElasticsearchSettings
from demo import elasticsearch_node
from indexer.build import build_index
from indexer.cluster import ClusterIndex
from indexer.cluster_build import build_in_cluster
from indexer.cluster_verify import cluster_info
from indexer.encoders.opening import open_encoder
from indexer.folder import IndexFolder
from indexer.schema import Mode
from indexer.threads import cores
from retriever.retriever import Retriever
from retriever.snippets import snippet

__all__ = ["main"]

K = 10
MODES: tuple[Mode, ...] = ("hybrid", "dense", "lexical")
RECALL = 200  # queries whose exact neighbours are found by comparing all
Opened = IndexFolder | ClusterIndex


@click.command(epilog="Example: python -m benchmarks.cluster --size 100000 --work /tmp/bench")
@click.option("--size", default=100_000, show_default=True, help="Passages.")
@click.option("--queries", "count", default=500, show_default=True, help="Queries timed.")
@click.option("--heap", default=2048, show_default=True, help="Heap of the node, in MB.")
@click.option(
    "--vectors", default="int8_hnsw", show_default=True, help="How vectors are quantised."
)
@click.option("--note", default="", help="What else went on on the machine; kept with the figures.")
@click.option(
    "--out",
    default="benchmarks/results/elasticsearch.json",
    show_default=True,
    type=click.Path(path_type=Path),
    help="A table goes beside it.",
)
@click.option(
    "--work", type=click.Path(path_type=Path), help="Where the collection and folder are."
)
def main(
    size: int, count: int, heap: int, vectors: str, note: str, out: Path, work: Path | None
) -> None:
    place = work or Path(tempfile.gettempdir()) / "tandem-benchmarks"
    try:
        collection = prepare(data_folder(), place)
        file = str(subset(collection, size))
        asked = queries(collection.queries, count)
        version = next(iter(elasticsearch_node.JAVA))
        elasticsearch_node.fetch(version)
        with elasticsearch_node.running(version, heap_mb=heap) as node:
            settings = ElasticsearchSettings(
                hosts=(node.url,),
                replicas=0,
                timeout=120,
                vectors=vectors,  # type: ignore[arg-type]
            )
            found = {
                "folder": _folder(file, place / f"beside-{size}", asked),
                "elasticsearch": _cluster(file, settings, asked),
            }
    except TandemError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
    result = {
        "passages": size, "queries": count, "heap_mb": heap, "vectors": vectors, "version": version,
        "cores": cores(), "date": time.strftime("%Y-%m-%d"), "note": note, **found,
    }  # fmt: skip
    out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    out.with_suffix(".md").write_text(table(result), "utf-8")
    click.echo(table(result))


def _folder(file: str, place: Path, asked: list[str]) -> dict[str, Any]:
    shutil.rmtree(place, ignore_errors=True)
    encoder = open_encoder("fast")
    report = build_index(
        place,
        documents(file, False),
        encoder,
        model="fast",
        workers=cores() if cores() > 1 else 0,
    )
    index = IndexFolder.open(place, encoder)
    size = sum(p.stat().st_size for p in place.rglob("*") if p.is_file())
    measured = _searched(index, index.store.take(np.arange(len(index.store))), asked)
    shutil.rmtree(place)
    return {**_built(report.passages, report.seconds, size), **measured}


def _cluster(file: str, settings: ElasticsearchSettings, asked: list[str]) -> dict[str, Any]:
    encoder = open_encoder("fast")
    address = "es://tandem-benchmark"
    report = build_in_cluster(
        address,
        documents(file, False),
        encoder,
        settings=settings,
        model="fast",
        workers=cores() if cores() > 1 else 0,
    )
    index = ClusterIndex.open(address, encoder, settings)
    keys = list(index.passage_keys())
    measured = _searched(index, index.vectors(keys), asked)
    return {
        **_built(report.passages, report.seconds, cluster_info(address, settings).bytes),
        **measured,
    }


def _built(passages: int, seconds: float, size: int) -> dict[str, Any]:
    return {
        "build_seconds": round(seconds, 1),
        "passages_per_second": round(passages / seconds),
        "disk_mb": round(size / 2**20, 1),
    }


def _searched(index: Opened, vectors: np.ndarray[Any, Any], asked: list[str]) -> dict[str, Any]:
    """Milliseconds in each mode, and the recall of the dense search; `vectors` are those of all passages."""
    retriever = Retriever(index)
    found: dict[str, Any] = {}
    for mode in MODES:

        def shown(query: str, mode: Mode = mode) -> object:
            return [snippet(hit, query, 200) for hit in retriever.search(query, k=K, mode=mode)]

        found[mode] = asdict(percentiles(timed(shown, asked)))
    shares = []
    for query in index.queries(asked[:RECALL]):
        products = vectors @ query.vector
        least = np.partition(products, -K)[-K]  # the tenth best cosine there is
        scores = index.dense.search(query, K).scores
        shares.append(float((scores >= least - 2e-6).sum()) / K)
    found["recall_at_10"] = round(float(np.mean(shares)), 4)
    found["median_recall_at_10"] = median(shares)
    return found


def table(result: Mapping[str, Any]) -> str:
    """The figures as Markdown."""
    sides = ("folder", "elasticsearch")
    rows = [
        ("build, passages a second", *(f"{result[s]['passages_per_second']:,}" for s in sides)),
        ("build, seconds", *(f"{result[s]['build_seconds']:,.1f}" for s in sides)),
        ("on disk, MB", *(f"{result[s]['disk_mb']:,.1f}" for s in sides)),
        *(
            (f"{mode}, {key}, ms", *(f"{result[s][mode][key]:.1f}" for s in sides))
            for mode in MODES
            for key in ("p50", "p99")
        ),
        ("dense recall at 10", *(f"{result[s]['recall_at_10']:.4f}" for s in sides)),
    ]
    head = f"| {result['passages']:,} passages | folder | Elasticsearch |\n| --- | ---: | ---: |\n"
    about = (
        f"Elasticsearch {result['version']}, one node, one shard, {result['vectors']}, heap {result['heap_mb']:,} MB, "
        f"{result['cores']} cores, {result['queries']} queries, {result['date']}. `python -m benchmarks.cluster`."
    )
    note = f"\n\n{result['note']}" if result["note"] else ""
    lines = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    return f"# Elasticsearch beside a folder\n\n{head}{lines}\n{about}{note}\n"


if __name__ == "__main__":
    main()
