"""The command `tandem eval convert`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from configs.errors import DocumentError
from eval.cli_options import allow_missing_option, disagreeing_option, say

__all__ = ["convert"]


@click.command(epilog="Example: tandem eval convert dareczech/test.tsv beir/dareczech --to beir")
@click.argument("judgments")
@click.argument("out")
@click.option(
    "--to",
    "form",
    type=click.Choice(["beir", "trec"]),
    default="beir",
    show_default=True,
    help="A BEIR folder, or TREC qrels with queries.jsonl beside them.",
)
@click.option("--queries", metavar="FILE", help="Texts of the queries, where JUDGMENTS has none.")
@click.option(
    "--documents",
    metavar="FILE",
    help="JSON lines of the documents, for the corpus of a BEIR folder.",
)
@allow_missing_option
@disagreeing_option
def convert(
    judgments: str,
    out: str,
    form: str,
    queries: str | None,
    documents: str | None,
    allow_missing: bool,
    disagreeing: str,
) -> None:
    """Judgments from one format to another.

    JUDGMENTS is a DaReCzech file, TREC or BEIR qrels, or a BEIR folder; OUT a folder for BEIR, a file
    for TREC. DaReCzech's labels become grades (0 to 4), and its documents, one for each url, the corpus.
    """
    from eval.formats import beir, trec
    from eval.formats.judgments import read_judgments
    from indexer.schema import Document

    found = read_judgments(
        Path(judgments),
        Path(queries) if queries else None,
        allow_missing=allow_missing,
        disagreeing=disagreeing,  # type: ignore[arg-type]  # click has checked it
    )
    place = Path(out)
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise DocumentError(f"{out}: it exists; name a new one, so that nothing is overwritten")
    corpus: Iterable[Document] = ()
    if documents:
        corpus = beir.read_corpus(Path(documents))
    elif found.records:
        own = {r.document_id: Document(r.document_id, r.doc, r.title, r.url) for r in found.records}
        corpus = own.values()
    elif found.format == "beir" and Path(judgments).is_dir():
        there = beir.find(Path(judgments)).corpus
        corpus = beir.read_corpus(there) if there else ()
    if form == "beir":
        beir.write_folder(place, corpus, found.queries, found.qrels)
    else:
        beside = place.parent / "queries.jsonl"
        if beside.exists():
            raise DocumentError(f"{beside}: it exists; name OUT in a new folder")
        place.parent.mkdir(parents=True, exist_ok=True)
        trec.write_qrels(place, found.qrels)
        beir.write_queries(beside, found.queries)
    count = sum(map(len, found.qrels.values()))
    say(f"{count} judgments of {len(found.qrels)} queries written to {out}")
    for note in found.notes:
        say(f"Note: {note}")
