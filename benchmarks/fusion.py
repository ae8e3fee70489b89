"""How the two sides are best put together: ways of fusion on collections in one language and across
languages, and whether both together are as good as the better side of each.
`python -m benchmarks.fusion --data ../shared/data` prints nDCG@10 by collection; `--all` every setting.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import click
import numpy as np

from benchmarks import judged
from benchmarks.judged import Collection
from configs.settings import FusionSettings, SearchSettings
from eval.ranking.metrics import measure_run, parse_measures
from eval.ranking.statistics import Paired, paired
from indexer.build import build_index
from indexer.encoders.opening import open_encoder
from indexer.schema import Encoder
from retriever.retriever import Retriever

Values = Mapping[str, list[float]]
"""Collection -> a value a query."""


def collections(data: Path | None) -> list[Collection]:
    found = [judged.demo()]
    if data is not None:
        found += [judged.classic(data, name) for name in ("cranfield", "cacm", "adi")]
        found += [judged.ntrex(data), judged.afriqa(data), judged.headlines(data)]
        found += [judged.problems(data)]
    rare = [judged.rare_words(c) for c in found if c.name in ("demo", "headlines")]
    return [*found, *rare]


def measure(retriever: Retriever, collection: Collection) -> list[float]:
    """nDCG@10 of each query."""
    measures = parse_measures(["nDCG@10"])
    rankings = retriever.rank(list(collection.queries.values()), depth=10)
    run = dict(zip(collection.queries, rankings, strict=True))
    qrels = {query: collection.qrels[query] for query in collection.queries}
    return list(measure_run(measures, qrels, run)["nDCG@10"].values())


def ways(everything: bool) -> dict[str, SearchSettings]:
    base = SearchSettings()

    def fused(**values: object) -> SearchSettings:
        return dataclasses.replace(base, fusion=dataclasses.replace(FusionSettings(), **values))  # type: ignore[arg-type]

    table = {
        "words": dataclasses.replace(base, mode="lexical"),
        "meaning": dataclasses.replace(base, mode="dense"),
        "both": base,
        "convex alone": fused(method="convex"),
        "rrf": fused(method="rrf"),
    }
    if everything:
        table |= {
            f"{method} {weight}": fused(method=method, lexical_weight=weight)
            for method in ("interleave", "convex", "minmax", "zscore", "combmnz")
            for weight in (0.2, 0.4, 0.6, 0.8)
        }
    return table


def against_the_better_side(results: Mapping[str, Values], name: str) -> Paired:
    """Both sides together against the better one alone on this collection, query by query."""
    better = max((results[side][name] for side in ("words", "meaning")), key=lambda v: np.mean(v))
    return paired(better, results["both"][name])


def build(collection: Collection, encoder: Encoder, folder: Path) -> Retriever:
    path = folder / collection.name
    build_index(path, collection.documents, encoder)
    return Retriever.open(path, encoder)


@click.command()
@click.option(
    "--data", type=click.Path(path_type=Path, exists=True), help="The folder of shared data."
)
@click.option("--encoder", default="fast")
@click.option("--all", "everything", is_flag=True, help="Every method at several weights.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the values as JSON.")
def main(data: Path | None, encoder: str, everything: bool, out: Path | None) -> None:
    """Measure ways of fusion on every collection."""
    opened = open_encoder(encoder)
    results: dict[str, dict[str, list[float]]] = {name: {} for name in ways(everything)}
    with tempfile.TemporaryDirectory() as room:
        for collection in collections(data):
            retriever = build(collection, opened, Path(room))
            for name, settings in ways(everything).items():
                values = measure(retriever.with_settings(settings), collection)
                results[name][collection.name] = values
            retriever.collection.close()
    names = list(results["both"])
    click.echo(f"{'nDCG@10':<16}" + "".join(f"{name:>20}" for name in names))
    for name, row in results.items():
        click.echo(f"{name:<16}" + "".join(f"{np.mean(row[c]):>20.4f}" for c in names))
    for name in names:
        found = against_the_better_side(results, name)
        gain = found.difference
        click.echo(
            f"{name}: both against the better side {gain.mean:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}], "
            f"p {found.p_randomisation:.4f}, {found.wins}/{found.ties}/{found.losses}"
        )
    if out is not None:
        out.write_text(json.dumps({"encoder": opened.fingerprint, "results": results}, indent=1))


if __name__ == "__main__":
    main()
