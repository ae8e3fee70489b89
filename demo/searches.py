"""What the demos have in common: the bundled documents, and a few searches across languages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from indexer.schema import Document
from indexer.text.rejects import RejectLog
from indexer.text.sources import read_documents
from retriever.hits import LABELS
from retriever.retriever import Retriever
from retriever.snippets import snippet

__all__ = ["documents", "show"]

DOCUMENTS = Path(__file__).parent / "documents.jsonl"
QUERIES = (
    ("cs", "jak odvzdusnit radiator"),
    ("bn", "আকাশ নীল কেন"),
    ("en", "where does the word robot come from"),
    ("ru", "помидоры на балконе"),
)


def documents(rejects: Path) -> Iterator[Document]:
    """The bundled documents; the first that cannot be used ends it."""
    return read_documents([str(DOCUMENTS)], RejectLog(rejects, strict=True))


def show(retriever: Retriever) -> None:
    """Search, and print the hits."""
    for lang, query in QUERIES:
        click.echo(f"\n{click.style(query, bold=True)}  [{lang}]")
        for hit in retriever.search(query, k=3):
            parts = "   ".join(
                f"{LABELS[side]} {part.share:.2f}" for side, part in hit.parts.items()
            )
            shown = "".join(text for text, _ in snippet(hit, query, 90))
            click.echo(f"  {hit.rank}. [{hit.document.lang}] {hit.document.title}")
            click.echo(f"       {hit.score:.2f} = {parts}")
            click.echo(f"       {shown}")
