"""`python -m benchmarks.compounds`: whether searching a compound as its two words finds more.

By words alone, in each language by itself: the first two sentences of a news article of NTREX-128 are queries for the rest of
it, once with `indexer.search.corrections` as it is and once without the parts of compounds.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from unittest import mock

import click
import numpy as np

from benchmarks.collection import data_folder
from configs.tables import plain_table
from indexer.build import build_index
from indexer.encoders.hash_encoder import HashEncoder
from indexer.folder import IndexFolder
from indexer.schema import Document
from indexer.text.compression import open_text
from retriever.retriever import Retriever

LANGUAGES = {"de": "deu", "nl": "nld", "sv": "swe", "da": "dan", "no": "nob", "fi": "fin", "hu": "hun"}  # fmt: skip
SENTENCES = 2  # of an article, that are queries


@click.command(epilog="Example: python -m benchmarks.compounds --data ../shared/data")
@click.option("--data", metavar="FOLDER", type=click.Path(path_type=Path), help="Shared data.")
def main(data: Path | None) -> None:
    """MRR@10 without and with the parts of compounds, and how many queries find theirs higher or lower."""
    folder = data_folder(data) / "ntrex128"
    with open_text(folder / "document_ids.tsv") as lines:
        names = [line.strip() for line in lines]
    rows = []
    for lang, code in LANGUAGES.items():
        with open_text(folder / f"ntrex128.eng-{code}.tsv.gz") as lines:
            texts = [line.rstrip("\n").split("\t")[1] for line in lines]
        articles: dict[str, list[str]] = {}
        for name, text in zip(names, texts, strict=True):
            articles.setdefault(name, []).append(text)
        without, parted = ranks(lang, {n: a for n, a in articles.items() if len(a) > 4})
        better, worse = int((parted > without).sum()), int((parted < without).sum())
        figures = [f"{found.mean():.4f}" for found in (without, parted)]
        rows.append([lang, str(len(parted)), *figures, str(better), str(worse)])
    click.echo(plain_table(["", "queries", "without", "with", "better", "worse"], rows))


def ranks(lang: str, articles: dict[str, list[str]]) -> tuple[np.ndarray, np.ndarray]:
    """(reciprocal rank of each query's article without the parts of compounds, with them)."""
    documents = [Document(n, " ".join(a[SENTENCES:]), lang=lang) for n, a in articles.items()]
    asked = [(name, text) for name, article in articles.items() for text in article[:SENTENCES]]
    encoder = HashEncoder(64)

    def found(retriever: Retriever) -> np.ndarray:
        hits = retriever.rank([text for _, text in asked], 10, "lexical")
        places = [[key for key, _ in one] for one in hits]
        return np.array(
            [
                1 / (1 + keys.index(name)) if name in keys else 0.0
                for (name, _), keys in zip(asked, places, strict=True)
            ]
        )

    with tempfile.TemporaryDirectory() as room:
        build_index(Path(room) / "index", documents, encoder)
        retriever = Retriever(IndexFolder.open(Path(room) / "index", encoder))
        with mock.patch("indexer.search.corrections._parts", lambda *_: ()):
            without = found(retriever)
        parted = found(retriever)
        retriever.collection.close()
    return without, parted


if __name__ == "__main__":
    main()
