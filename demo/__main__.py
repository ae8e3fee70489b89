"""`make demo`: index the bundled collection and search it across languages.

The collection, queries and judgments were written for Tandem; demo/README.md says what is where.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from configs.errors import TandemError
from indexer.build import add_documents, build_index
from indexer.encoders.opening import open_encoder
from indexer.folder import read_manifest
from indexer.text.rejects import RejectLog
from indexer.text.sources import read_documents
from retriever.retriever import Retriever
from retriever.snippets import snippet

DOCUMENTS = Path(__file__).parent / "documents.jsonl"
INDEX = Path("demo.index")
QUERIES = (
    ("cs", "jak odvzdusnit radiator"),
    ("bn", "আকাশ নীল কেন"),
    ("en", "where does the word robot come from"),
    ("ru", "помидоры на балконе"),
)


def main() -> None:
    encoder = open_encoder("default")
    rejects = RejectLog(INDEX / "rejects.jsonl", strict=True)
    documents = read_documents([str(DOCUMENTS)], rejects)
    if (INDEX / "manifest.json").exists() and (
        read_manifest(INDEX).encoder.fingerprint == encoder.fingerprint
    ):
        report = add_documents(INDEX, documents, encoder)
    else:
        report = build_index(INDEX, documents, encoder, model="default", overwrite=True)
    click.echo(
        f"{INDEX}: {report.documents} documents in {len(read_manifest(INDEX).languages)} languages; "
        f"{report.added} added, {report.unchanged} unchanged, {report.seconds:.1f} s"
    )
    retriever = Retriever.open(INDEX, encoder)
    for lang, query in QUERIES:
        click.echo(f"\n{click.style(query, bold=True)}  [{lang}]")
        for hit in retriever.search(query, k=3):
            parts = "   ".join(
                f"{'meaning' if side == 'dense' else 'words'} {part.share:.2f}"
                for side, part in hit.parts.items()
            )
            shown = "".join(text for text, _ in snippet(hit, query, 90))
            click.echo(f"  {hit.rank}. [{hit.document.lang}] {hit.document.title}")
            click.echo(f"       {hit.score:.2f} = {parts}")
            click.echo(f"       {shown}")
    click.echo(
        "\nOpen the page:  make serve      Search:  .venv/bin/tandem search 'your query' -i demo.index"
    )


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:  # `python -m demo | head`
        sys.stderr.close()
    except TandemError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
