"""`make demo`: index the bundled collection and search it across languages.

The collection, queries and judgments were written for Tandem; demo/README.md says what is where.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from configs.errors import TandemError
from demo.searches import documents, show
from indexer.build import add_documents, build_index
from indexer.encoders.opening import open_encoder
from indexer.storage.manifest import read_manifest
from retriever.retriever import Retriever

INDEX = Path("demo.index")


def main() -> None:
    encoder = open_encoder("accurate")
    found = documents(INDEX / "rejects.jsonl")
    if (INDEX / "manifest.json").exists() and (
        read_manifest(INDEX).encoder.fingerprint == encoder.fingerprint
    ):
        report = add_documents(INDEX, found, encoder)
    else:
        report = build_index(INDEX, found, encoder, model="accurate", overwrite=True)
    click.echo(
        f"{INDEX}: {report.documents} documents in {len(read_manifest(INDEX).languages)} languages; "
        f"{report.added} added, {report.unchanged} unchanged, {report.seconds:.1f} s"
    )
    show(Retriever.open(INDEX, encoder))
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
