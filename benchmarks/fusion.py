"""How the two sides are best put together: the settings of fusion, measured on collections in one
language and across languages. `python -m benchmarks.fusion --data DIR` prints a table a setting.

The collections: the demo (78 queries, most of which must cross), Cranfield and CACM (English alone), and
NTREX-128 (news sentences in ten languages; a query must find its translations among all of them).
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from configs.settings import FusionSettings, SearchSettings
from indexer.build import build_index
from indexer.encoders import open_encoder
from indexer.schema import Document, Encoder
from indexer.sources import read_documents
from retriever.retriever import Retriever

NTREX = {"en": "eng", "cs": "ces", "bn": "ben", "de": "deu", "fr": "fra", "ru": "rus", "pl": "pol", "tr": "tur", "ja": "jpn", "ar": "arb"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Collection:
    """Documents, queries and which documents answer them (grade above 0)."""

    name: str
    documents: list[Document]
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]


def _lines(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from file


def demo() -> Collection:
    folder = Path(__file__).parent.parent / "demo"
    documents = list(read_documents([str(folder / "documents.jsonl")], lambda reject: None))
    queries = {}
    for line in (folder / "queries.jsonl").read_text("utf-8").splitlines():
        record = json.loads(line)
        queries[record["_id"]] = record["text"]
    qrels: dict[str, dict[str, int]] = {}
    for line in (folder / "qrels.txt").read_text("utf-8").splitlines():
        query, _, document, grade = line.split()
        qrels.setdefault(query, {})[document] = int(grade)
    return Collection("demo", documents, queries, qrels)


def classic(data: Path, name: str) -> Collection:
    folder = data / "ir-classic" / name
    documents = [
        Document(r["doc_id"], r["text"], r["title"], lang="en")
        for r in map(json.loads, _lines(folder / "corpus.jsonl.gz"))
        if r["text"].strip() or r["title"].strip()
    ]
    queries = {
        r["query_id"]: r["text"] for r in map(json.loads, _lines(folder / "queries.jsonl.gz"))
    }
    qrels: dict[str, dict[str, int]] = {}
    for line in (folder / "qrels.tsv").read_text("utf-8").splitlines()[1:]:
        query, document, grade = line.split("\t")
        qrels.setdefault(query, {})[document] = int(grade)
    return Collection(name, documents, {q: t for q, t in queries.items() if q in qrels}, qrels)


def ntrex(data: Path, queries: int = 300) -> Collection:
    """Each sentence of each language is a document; every 7th is a query, its own text taken out."""
    sides: dict[str, list[str]] = {}
    for lang, code in NTREX.items():
        if lang == "en":
            continue
        pairs = [
            line.rstrip("\n").split("\t")
            for line in _lines(data / "ntrex128" / f"ntrex128.eng-{code}.tsv.gz")
        ]
        sides.setdefault("en", [pair[0] for pair in pairs])
        sides[lang] = [pair[1] for pair in pairs]
    langs = sorted(sides)
    asked, qrels, hidden = {}, {}, set()
    for n in range(queries):
        row, lang = (n * 7) % len(sides["en"]), langs[n % len(langs)]
        asked[f"{lang}-{row}"] = sides[lang][row]
        hidden.add(f"{lang}-{row}")
        qrels[f"{lang}-{row}"] = {f"{other}-{row}": 1 for other in langs if other != lang}
    documents = [
        Document(f"{lang}-{row}", text, lang=lang)
        for lang in langs
        for row, text in enumerate(sides[lang])
        if f"{lang}-{row}" not in hidden and text.strip()
    ]
    return Collection("ntrex", documents, asked, qrels)


def scores(ranking: Sequence[str], grades: dict[str, int]) -> tuple[float, float]:
    """(nDCG@10 with gain 2^grade - 1, average precision over the depth of the ranking)."""
    gains = [2 ** max(grades.get(id_, 0), 0) - 1 for id_ in ranking[:10]]
    ideal = sorted((2 ** max(g, 0) - 1 for g in grades.values()), reverse=True)[:10]
    discount = 1 / np.log2(np.arange(2, 12))
    best = float(np.dot(ideal, discount[: len(ideal)]))
    relevant = {id_ for id_, grade in grades.items() if grade > 0}
    found, total = 0, 0.0
    for place, id_ in enumerate(ranking, 1):
        if id_ in relevant:
            found += 1
            total += found / place
    ndcg = float(np.dot(gains, discount[: len(gains)])) / best if best else 0.0
    return ndcg, total / len(relevant) if relevant else 0.0


def measure(retriever: Retriever, collection: Collection) -> tuple[float, float]:
    """Mean (nDCG@10, AP) over the queries."""
    rankings = retriever.rank(list(collection.queries.values()), depth=100)
    results = [
        scores([id_ for id_, _ in ranking], collection.qrels[query])
        for query, ranking in zip(collection.queries, rankings, strict=True)
    ]
    return float(np.mean([r[0] for r in results])), float(np.mean([r[1] for r in results]))


def settings() -> dict[str, SearchSettings]:
    base = SearchSettings()
    table = {
        "dense": dataclasses.replace(base, mode="dense"),
        "lexical": dataclasses.replace(base, mode="lexical"),
        "rrf": dataclasses.replace(base, fusion=FusionSettings(method="rrf")),
    }
    for method in ("minmax", "zscore", "combmnz"):
        table[f"{method} 0.5"] = dataclasses.replace(
            base, fusion=FusionSettings(method=method, lexical_weight=0.5)
        )
    for weight in (0.2, 0.4, 0.6):
        for cross in (0.0, 0.3, 0.6, 1.0):
            fusion = FusionSettings(lexical_weight=weight, cross_language=cross)
            table[f"convex {weight} cross {cross}"] = dataclasses.replace(base, fusion=fusion)
    return table


def build(collection: Collection, encoder: Encoder, folder: Path) -> Retriever:
    path = folder / collection.name
    build_index(path, collection.documents, encoder)
    return Retriever.open(path, encoder)


@click.command()
@click.option(
    "--data", type=click.Path(path_type=Path, exists=True), help="The folder of shared data."
)
@click.option("--encoder", default="default")
@click.option("--out", type=click.Path(path_type=Path), help="Write the table as JSON.")
def main(data: Path | None, encoder: str, out: Path | None) -> None:
    """Measure every setting of fusion on every collection."""
    opened = open_encoder(encoder)
    collections = [demo()]
    if data is not None:
        collections += [classic(data, "cranfield"), classic(data, "cacm"), ntrex(data)]
    results: dict[str, dict[str, tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as room:
        retrievers = {c.name: build(c, opened, Path(room)) for c in collections}
        click.echo(f"{'nDCG@10 / AP':<24}" + "".join(f"{c.name:>18}" for c in collections))
        for name, chosen in settings().items():
            row = {
                c.name: measure(retrievers[c.name].with_settings(chosen), c) for c in collections
            }
            results[name] = row
            click.echo(f"{name:<24}" + "".join(f"{n:>10.4f} {a:.4f} " for n, a in row.values()))
    if out is not None:
        out.write_text(json.dumps({"encoder": opened.fingerprint, "results": results}, indent=1))


if __name__ == "__main__":
    main()
