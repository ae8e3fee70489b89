"""`tandem eval speed` and `tandem eval curve`."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from configs.errors import ConfigError, DocumentError
from configs.load import load
from configs.progress import progress_bar, progress_over
from configs.settings import Settings
from configs.tables import plain_table
from eval.cli_measure import emit, encoder_options, percent, the_encoder

if TYPE_CHECKING:
    from indexer.schema import Encoder, Mode
    from retriever.retriever import Retriever

__all__ = ["curve", "speed"]

MODES: tuple[Mode, ...] = ("hybrid", "dense", "lexical")


@click.command(
    epilog="Example: tandem eval speed -i notes.index --queries queries.txt; "
    "tandem eval speed --documents notes/ --encoder accurate"
)
@click.option(
    "--documents",
    metavar="PATH",
    help="Files or a folder to index in a temporary folder, as `tandem index build` reads them; with -i "
    "the index that is there is searched instead.",
)
@click.option(
    "--queries",
    metavar="FILE",
    help="A query a line, or JSON lines with a key `text`. Default: first words of the documents.",
)
@click.option(
    "--count", default=200, show_default=True, type=click.IntRange(min=1), help="Queries used."
)
@click.option(
    "-k", default=10, show_default=True, type=click.IntRange(min=1), help="Hits a search."
)
@encoder_options
def speed(
    documents: str | None,
    queries: str | None,
    count: int,
    k: int,
    as_json: bool,
    index_path: str | None,
    **which: Any,
) -> None:
    """How fast: encoding, indexing and searching, with percentiles; how large: the index on disk."""
    from eval import speed as measure
    from retriever.retriever import Retriever

    if index_path is not None and documents is not None:
        raise ConfigError("-i searches an index and --documents builds one; leave one out")
    if index_path is None and documents is None and queries is None:
        raise ConfigError("nothing to measure: give -i INDEX, --documents PATH or --queries FILE")
    asked = _read_queries(queries, count) if queries else []
    encoder = the_encoder(index_path=index_path, **which)
    result: dict[str, Any] = {"machine": measure.machine()}
    lines: list[list[str]] = []
    with tempfile.TemporaryDirectory(prefix="tandem-speed-", ignore_cleanup_errors=True) as folder:
        path = index_path
        if documents is not None:
            path = str(Path(folder) / "speed.index")
            result["indexing"] = _index(path, documents, encoder)
        cluster = load(Settings, which["config"], which["changes"]).elasticsearch
        retriever = (
            Retriever.open(path, encoder, elasticsearch=cluster) if path is not None else None
        )
        if retriever is not None and not asked:
            asked = _own_queries(retriever, count)
        with progress_over(asked, "encoding") as steps:
            result["encoding"] = measure.encoding(encoder, asked, steps)
        lines.append(_latency("encode a query", result["encoding"].single))
        if retriever is not None and path is not None:
            searches: dict[str, measure.Latency] = {}
            for mode in MODES:
                with progress_over(asked, f"searching, {mode}") as steps:
                    searches[mode] = measure.search_latency(retriever, asked, mode, k, steps)
                lines.append(_latency(f"search, {mode}", searches[mode]))
            facts = retriever.collection.facts
            result["search"] = searches
            result["size"] = measure.size(path, facts.passages, cluster)
            result["documents"], result["passages"] = facts.documents, facts.passages
            result["factory"] = retriever.collection.about()["vectors"]
    emit(as_json, "speed", encoder, [], result, _speed_text(result, lines), k=k, queries=len(asked))


def _speed_text(result: dict[str, Any], lines: Sequence[Sequence[str]]) -> str:
    text = plain_table(["milliseconds", "calls", "mean", "p50", "p90", "p99", "slowest"], lines)
    text += f"\nencoding together: {result['encoding'].texts_per_second:,.0f} texts a second"
    if indexing := result.get("indexing"):
        text += (
            f"\nindexing: {indexing['documents']} documents in {indexing['seconds']:.1f} s, "
            f"{indexing['documents_per_second']:,.0f} a second"
        )
    if size := result.get("size"):
        text += (
            f"\nindex: {result['documents']} documents, {result['passages']} passages, "
            f"{size.bytes / 1e6:.1f} MB, {size.per_passage:,.0f} bytes a passage ({result['factory']})"
        )
    machine = result["machine"]
    return f"{text}\non {machine.processor}, {machine.cores} cores, Python {machine.python}"


def _latency(name: str, found: Any) -> list[str]:
    figures = (found.mean, found.p50, found.p90, found.p99, found.slowest)
    return [name, str(found.calls), *(f"{value:.2f}" for value in figures)]


def _index(path: str, documents: str, encoder: Encoder) -> dict[str, Any]:
    from indexer.build import build_index
    from indexer.text.rejects import Reject
    from indexer.text.sources import read_documents

    rejects: list[Reject] = []
    start = time.perf_counter()
    found = list(read_documents([documents], rejects.append))
    if not found:
        raise DocumentError(f"--documents {documents}: no document could be read")
    read = time.perf_counter() - start
    with progress_bar("indexing", len(found)) as update:
        report = build_index(path, found, encoder, progress=update)
    return {
        "documents": report.documents,
        "rejected": len(rejects) + report.rejected,
        "passages": report.passages,
        "reading_seconds": round(read, 3),
        "seconds": round(report.seconds, 3),
        "documents_per_second": round(report.documents / max(report.seconds, 1e-9), 1),
    }


def _read_queries(path: str, count: int) -> list[str]:
    from eval.sentences.tables import lines, read_rows

    if ".jsonl" in Path(path).name:
        return [row.values[0] for row in read_rows(path, ("text",))][:count]
    found = []
    for number, line in lines(path):
        if not line.strip():
            raise DocumentError(f"{path}:{number}: a query without text; delete the line")
        found.append(line.strip())
    if not found:
        raise DocumentError(f"{path}: the file is empty; a query in each line is expected")
    return found[:count]


def _own_queries(retriever: Retriever, count: int) -> list[str]:
    """The first words of documents drawn from the index, always the same ones."""
    ids = sorted(retriever.collection.document_ids())
    random.Random(0).shuffle(ids)
    found = retriever.collection.documents(ids[:count])
    texts = [found[id_].title or found[id_].text for id_ in ids[:count]]
    queries = [" ".join(text.split()[:6]) for text in texts]
    return [query for query in dict.fromkeys(queries) if query]


@click.command(
    epilog="Example: tandem eval curve en-cs.tsv.xz --sizes 1000,5000,25000 -o curve "
    "--tatoeba tatoeba.eng-ces.tsv.gz "
    "--train 'distill --set \"corpora.files=[{path: {pairs}}]\" -o {student}'"
)
@click.argument("pairs")
@click.option("--sizes", required=True, metavar="N,N,...", help="Training pairs of each student.")
@click.option(
    "--train",
    "template",
    required=True,
    metavar="COMMAND",
    help="What follows `tandem train`; {pairs} stands for a size's file of pairs, {student} for its folder.",
)
@click.option(
    "-o", "--out", required=True, metavar="FOLDER", help="Samples, students and logs; kept."
)
@click.option("--tatoeba", multiple=True, metavar="FILE", help="Translation pairs to measure on.")
@click.option("--sts", multiple=True, metavar="FILE", help="Graded pairs to measure on.")
@click.option(
    "--seed", default=0, show_default=True, help="Shuffles PAIRS before the first N are taken."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs instead of text.")
def curve(
    pairs: str,
    sizes: str,
    template: str,
    out: str,
    tatoeba: tuple[str, ...],
    sts: tuple[str, ...],
    seed: int,
    as_json: bool,
) -> None:
    """A training-size curve: students on more and more of the same PAIRS, each one measured.

    Each is trained by `tandem train` in its own process; a student that was trained by the same command
    on the same pairs is not trained again, so a curve that was interrupted goes on.
    """
    from eval.sentences import curve as measure
    from eval.sentences.tables import data_file, lines

    if not tatoeba and not sts:
        raise ConfigError("give --tatoeba or --sts: a curve needs something to measure on")
    wanted = measure.parse_sizes(sizes)
    folder = Path(out)
    measure.command(template, Path("pairs"), folder)  # a wrong template fails before any work
    files = measure.sample(pairs, wanted, folder / "pairs", seed)
    points = []
    with progress_over(wanted, "students") as steps:
        for size in steps:
            student = folder / f"student-{size}"
            start = time.perf_counter()
            trained = measure.train(
                measure.command(template, files[size], student), files[size], student
            )
            seconds = round(time.perf_counter() - start, 1) if trained else 0.0
            points.append(
                measure.Point(size, str(student), *_figures(str(student), tatoeba, sts), seconds)
            )
    text = plain_table(
        ["pairs", "Tatoeba", "STS", "training s"],
        [[str(p.size), percent(p.tatoeba), percent(p.sts), f"{p.seconds:.0f}"] for p in points],
    )
    data = [data_file(pairs, sum(1 for _ in lines(pairs)))]
    data += [data_file(path) for path in (*tatoeba, *sts)]
    emit(as_json, "curve", None, data, points, text, train=template, seed=seed)


def _figures(
    student: str, tatoeba: Sequence[str], sts: Sequence[str]
) -> tuple[float | None, float | None]:
    """Mean Tatoeba accuracy and mean Spearman of a student; None where there is no file."""
    from eval.sentences.encoding import encoded
    from eval.sentences.sts import correlation, cosines, read_graded
    from eval.sentences.tatoeba import accuracy, read_pairs
    from indexer.encoders.opening import open_encoder

    inner = Path(student) / "model"  # where the trainer's own run folders keep the student
    encoder = open_encoder(str(inner) if inner.is_dir() else student)
    accuracies = [
        accuracy(path, encoded(encoder, one), encoded(encoder, other)).mean
        for path in tatoeba
        for one, other in [read_pairs(path)]
    ]
    spearmans = [
        correlation(
            one.name, cosines(encoded(encoder, one.first), encoded(encoder, one.second)), one.grades
        ).spearman
        for one in map(read_graded, sts)
    ]
    return (
        sum(accuracies) / len(accuracies) if accuracies else None,
        sum(spearmans) / len(spearmans) if spearmans else None,
    )
