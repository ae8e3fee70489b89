"""The commands `tandem eval compare` and `tandem eval churn`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from configs.errors import DocumentError
from configs.options import config_options, json_option
from configs.progress import progress_bar
from eval.cli_options import (
    Asked,
    judgment_options,
    open_bench,
    open_retriever,
    ranked,
    report_option,
    say,
    spec_retriever,
    write_reports,
)
from eval.cli_relevance import check_task, describe, show

if TYPE_CHECKING:
    from eval.formats.topics import Topic
    from eval.ranking.systems import Spec
    from indexer.schema import Ranking
    from retriever.retriever import Retriever

__all__ = ["churn", "compare"]

SYSTEMS = click.argument("systems", nargs=-1, required=True, metavar="SYSTEM SYSTEM...")


def _specs(systems: tuple[str, ...]) -> list[Spec]:
    from configs.load import names
    from eval.ranking.systems import parse_spec

    if len(systems) < 2:
        raise click.UsageError(
            "name two systems or more; the first is what the others are held against"
        )
    configurations = names()
    return [parse_spec(text, configurations) for text in systems]


def _first_index(specs: list[Spec], index_path: str | None) -> str | None:
    """Where documents are looked up: -i, else the first system that is an index."""
    return index_path or next((spec.path for spec in specs if spec.kind == "index"), None)


@click.command(
    epilog="Example: tandem eval compare qrels.txt lexical dense hybrid -i demo.index --report sides.html   "
    "Or: tandem eval compare qrels.txt before.run after.run"
)
@judgment_options
@SYSTEMS
@click.option(
    "--level",
    type=click.FloatRange(0.5, 0.999),
    default=0.95,
    show_default=True,
    help="Confidence level of the intervals and of the significance tests.",
)
@report_option
@json_option
def compare(
    asked: Asked,
    systems: tuple[str, ...],
    level: float,
    reports: tuple[str, ...],
    title: str,
    as_json: bool,
) -> None:
    """Systems side by side on the same judgments: which is better, and is it chance?

    A SYSTEM is a TREC run, an index (a folder or es://NAME), or a way to search INDEX: a mode (hybrid, dense, lexical), a
    YAML file of settings, or KEY=VALUE[,KEY=VALUE...]. Every pair is tested; lists of lost queries are
    against the first.
    """
    from eval.formats.trec import read_run
    from eval.ranking.relevance import check_run, join_index, measure_system, measures_for
    from eval.ranking.systems import named

    specs = _specs(systems)
    place = _first_index(specs, asked.index_path)
    shared = open_retriever(place, asked.config, asked.changes) if place else None
    bench = open_bench(asked, shared)
    chosen = measures_for(bench.judgments, asked.task, asked.measures)
    notes: tuple[str, ...] = bench.known.notes if bench.known else ()
    found = []
    for spec, name in zip(specs, named(specs), strict=True):
        about: dict[str, object]
        run: dict[str, Ranking]
        if spec.kind == "run":
            run, tag = read_run(Path(spec.path))
            check_task(tag, asked.task, spec.path)
            notes += check_run(run, bench.judgments, spec.path, bench.collection, asked.max_unknown)
            about = {"run": spec.path, "tag": tag}
        else:
            retriever = spec_retriever(spec, shared, asked.config, asked.changes)
            if spec.kind == "index" and spec.path != place:
                notes += join_index(bench.judgments, retriever.collection, asked.max_unknown).notes
            run = ranked(retriever, bench, asked, name)
            about = {"search": dataclasses.asdict(retriever.settings), "depth": asked.depth}
            if spec.kind == "index":
                about |= {"encoder": retriever.collection.encoder.fingerprint}
        found.append(measure_system(name, asked.task, run, bench.judgments, chosen, about))
    report = describe(found, bench, tuple(notes), level, title)
    write_reports(report, reports)
    for note in report.notes:
        say(f"Note: {note}")
    show(report, as_json)


@click.command(
    epilog="Example: tandem eval churn queries.txt hybrid search.fusion.method=rrf -i demo.index"
)
@click.argument("queries")
@SYSTEMS
@click.option("-i", "--index", "index_path", metavar="INDEX", help="The index folder to search.")
@click.option(
    "-k",
    default=10,
    show_default=True,
    type=click.IntRange(1),
    help="Rank down to which the overlap is measured.",
)
@click.option(
    "-p",
    default=0.9,
    show_default=True,
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Persistence of rank-biased overlap: the probability that a reader looks at the next rank.",
)
@click.option(
    "--depth",
    default=100,
    show_default=True,
    type=click.IntRange(1),
    help="Documents ranked for each query.",
)
@json_option
@config_options
def churn(
    queries: str,
    systems: tuple[str, ...],
    index_path: str | None,
    k: int,
    p: float,
    depth: int,
    as_json: bool,
    config: str | None,
    changes: tuple[str, ...],
) -> None:
    """Without judgments: how much do two systems' results differ?

    QUERIES is a file of JSON lines, of id TAB text, or of one query a line. A SYSTEM is as in `compare`.
    Every further system is held against the first, by overlap@k and rank-biased overlap (RBO); 1 is no
    change.
    """
    from configs.tables import markdown_table
    from eval.formats.topics import read_queries
    from eval.ranking.churn import churn as differences
    from eval.ranking.systems import named

    specs = _specs(systems)
    asked = read_queries(Path(queries))
    place = _first_index(specs, index_path)
    shared = open_retriever(place, config, changes) if place else None
    names = named(specs)
    runs = []
    for spec, name in zip(specs, names, strict=True):
        runs.append(_run(spec, name, shared, asked, depth, config, changes))
    result = []
    for name, run in zip(names[1:], runs[1:], strict=True):
        found = differences(runs[0], run, k, p)
        result.append(
            {
                "base": names[0],
                "system": name,
                "k": k,
                "p": p,
                "queries": len(found),
                "unchanged": sum(entry.rbo > 1 - 1e-9 for entry in found),
                "overlap": sum(entry.overlap for entry in found) / len(found),
                "rbo": sum(entry.rbo for entry in found) / len(found),
                "per_query": [dataclasses.asdict(entry) for entry in found],
            }
        )
    if as_json:
        click.echo(json.dumps(result, ensure_ascii=False, indent=1))
        return
    for entry in result:
        click.echo(
            f"{entry['system']} against {entry['base']}: overlap@{k} {entry['overlap']:.4f}, "
            f"RBO {entry['rbo']:.4f}; {entry['unchanged']} of {entry['queries']} queries unchanged"
        )
        most = entry["per_query"]
        assert isinstance(most, list)
        rows = [
            [f"{c['overlap']:.3f}", f"{c['rbo']:.3f}", c["query_id"], _text(asked, c["query_id"])]
            for c in most[:10]
            if c["rbo"] < 1 - 1e-9
        ]
        if rows:
            click.echo(markdown_table([f"overlap@{k}", "RBO", "query", "text"], rows))


def _text(asked: Mapping[str, Topic], query: str) -> str:
    return asked[query].text[:70] if query in asked else ""


def _run(
    spec: Spec,
    name: str,
    shared: Retriever | None,
    asked: Mapping[str, Topic],
    depth: int,
    config: str | None,
    changes: tuple[str, ...],
) -> dict[str, Ranking]:
    from eval.formats.trec import read_run
    from eval.ranking.relevance import retrieve

    if spec.kind == "run":
        run, _ = read_run(Path(spec.path))
        if not run.keys() & asked.keys():
            raise DocumentError(f"{spec.path}: it answers none of the {len(asked)} queries")
        return {query: ranking for query, ranking in run.items() if query in asked}
    retriever = spec_retriever(spec, shared, config, changes)
    with progress_bar(name, len(asked)) as step:
        return retrieve(retriever, asked, depth, progress=step)
