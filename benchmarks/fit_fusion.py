"""`python -m benchmarks.fit_fusion ENCODER --data ../shared/data`: the weights of `retriever.learned_fusion`.

Logistic regression on the pools of judged collections. Each collection weighs the same, and in it each query; the two
sets of rare words weigh a quarter. Prints nDCG@10 of the signals, of a fit that never saw a collection's documents, and of the
fit on all of them; how often the first hit is right, by its probability; and the weights.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np

from benchmarks import judged
from benchmarks.fusion import build
from benchmarks.natural_queries import SETS
from eval.ranking.fusion_fit import JudgedPool, Part, fit, judged_pools
from eval.ranking.metrics import measure_run, parse_measures
from indexer.encoders.opening import open_encoder
from retriever.learned_fusion import Weights, learned
from retriever.retriever import Retriever

QUERIES = 400  # of a collection, at most
RARE = 0.25


@dataclass(frozen=True, slots=True)
class Judged:
    """A collection's pools. `group`: collections of the same documents are left out together."""

    collection: judged.Collection
    group: str
    pools: Sequence[JudgedPool]
    weight: float = 1.0


def natural() -> judged.Collection:
    """The demo with the natural queries that are for choosing."""
    demo = judged.demo()
    lines = (SETS / "a.jsonl").read_text("utf-8").splitlines()
    asked = [json.loads(line) for line in lines]
    return replace(
        demo,
        name="natural",
        queries={one["id"]: one["query"] for one in asked},
        qrels={one["id"]: dict.fromkeys(one["expected"], 1) for one in asked},
    )


def pools(retriever: Retriever, collection: judged.Collection) -> list[JudgedPool]:
    chosen = list(collection.queries)[:QUERIES]
    texts = {name: collection.queries[name] for name in chosen}
    return judged_pools(retriever, texts, collection.qrels)


def fitted(sets: Sequence[Judged]) -> Weights:
    return fit([Part(one.pools, one.weight) for one in sets])


def quality(one: Judged, weights: Weights) -> float:
    """nDCG@10, each document at its best passage."""
    run = {}
    for pool in one.pools:
        best: dict[str, float] = {}
        scores = learned(pool.found, weights).score.tolist()
        for id_, score in sorted(zip(pool.ids, scores, strict=True), key=lambda pair: -pair[1]):
            best.setdefault(id_, score)
        run[pool.query] = list(best.items())
    qrels = {name: one.collection.qrels[name] for name in run}
    values = measure_run(parse_measures(["nDCG@10"]), qrels, run)["nDCG@10"]
    return float(np.mean(list(values.values())))


@click.command()
@click.argument("encoder")
@click.option("--data", required=True, type=click.Path(path_type=Path, exists=True))
def main(encoder: str, data: Path) -> None:
    """Fit the fusion for ENCODER."""
    opened = open_encoder(encoder)
    sets: list[Judged] = []
    with tempfile.TemporaryDirectory() as room:
        whole = [judged.demo(), judged.headlines(data), judged.problems(data), judged.afriqa(data)]
        whole += [judged.classic(data, name) for name in ("adi", "cranfield", "cacm")]
        for collection in whole:
            retriever = build(collection, opened, Path(room))
            sets.append(Judged(collection, collection.name, pools(retriever, collection)))
            if collection.name in ("demo", "headlines"):
                rare = judged.rare_words(collection, 1 if collection.name == "demo" else 2)
                sets.append(Judged(rare, collection.name, pools(retriever, rare), RARE))
            if collection.name == "demo":
                own = natural()
                sets.append(Judged(own, "demo", pools(retriever, own)))
    everything = fitted(sets)
    tops: list[tuple[float, bool]] = []
    for one in sets:
        left_out = fitted([other for other in sets if other.group != one.group])
        click.echo(
            f"{one.collection.name:<20} left out {quality(one, left_out):.3f}   fitted {quality(one, everything):.3f}"
        )
        for pool in one.pools:
            scores = learned(pool.found, left_out).score
            tops.append((float(scores.max()), bool(pool.grades[scores.argmax()])))
    probability, right = np.array([p for p, _ in tops]), np.array([r for _, r in tops])
    for low, high in ((0, 0.1), (0.1, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 1.01)):
        those = (probability >= low) & (probability < high)
        if those.any():
            click.echo(
                f"first hits of {low} to {min(high, 1)}: {those.sum()}, mean {probability[those].mean():.2f}, "
                f"right {right[those].mean():.2f}"
            )
    click.echo(
        f"Weights({everything.intercept:.3f}, ({', '.join(f'{v:.3f}' for v in everything.of)}))"
    )


if __name__ == "__main__":
    main()
