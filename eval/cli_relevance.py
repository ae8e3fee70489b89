"""The command `tandem eval relevance`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from configs.errors import DocumentError
from configs.options import json_option
from eval.cli import command_line
from eval.cli_options import (
    Asked,
    Bench,
    judgment_facts,
    judgment_options,
    open_bench,
    open_retriever,
    ranked,
    report_option,
    say,
    write_reports,
)

if TYPE_CHECKING:
    from eval.ranking.relevance import System, Task
    from eval.ranking.report import Report

__all__ = ["relevance"]


@click.command(
    epilog="Example: tandem eval relevance qrels.txt --queries queries.jsonl -i demo.index "
    "-m nDCG@10 -m AP --report report.html   DaReCzech: tandem eval relevance test.tsv -i dare.index "
    "--task rerank"
)
@judgment_options
@click.option("--mode", help="hybrid, dense or lexical. Default: search.mode of the settings.")
@click.option("--run", "run_path", metavar="RUN", help="Measure this TREC run; do not search.")
@click.option("--save-run", metavar="FILE", help="Write the rankings as a TREC run.")
@click.option(
    "--fail-if-worse",
    metavar="RUN",
    help="Exit with 1, and name the queries that got worse, when the first measure is lower than "
    "this TREC run's.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="A loss of the mean that --fail-if-worse lets pass.",
)
@click.option(
    "--resamples",
    type=click.IntRange(min=2),
    metavar="N",
    help="Also give SeznamP@10 as mean and standard deviation over N samples of the judged pairs, drawn with "
    "replacement; for a DaReCzech file with --task rerank.",
)
@click.option(
    "--preset",
    type=click.Choice(["dareczech"]),
    help="dareczech: the zero-shot protocol of Bednář et al. 2023: --task rerank --mode dense --resamples 150.",
)
@report_option
@json_option
@click.pass_context
def relevance(
    ctx: click.Context,
    asked: Asked,
    mode: str | None,
    run_path: str | None,
    save_run: str | None,
    fail_if_worse: str | None,
    tolerance: float,
    resamples: int | None,
    preset: str | None,
    reports: tuple[str, ...],
    title: str,
    as_json: bool,
) -> None:
    """Rank judged queries and measure the result.

    JUDGMENTS is a DaReCzech file, TREC or BEIR qrels, or a BEIR folder. With --task retrieve each query
    searches the whole index; with --task rerank only its judged documents are put in order, as
    DaReCzech's published P@10 does. With --run a TREC run is measured instead.
    """
    from eval.formats.trec import read_run, write_run
    from eval.ranking.metrics import SEZNAM
    from eval.ranking.relevance import check_run, measure_system, measures_for, resampled

    if preset:
        asked = dataclasses.replace(asked, task="rerank")
        mode, resamples = mode or "dense", resamples or 150
    if asked.index_path is None and run_path is None:
        raise click.UsageError("name an index to search with -i INDEX, or a run with --run RUN")
    if mode:
        asked = dataclasses.replace(asked, changes=(*asked.changes, f"search.mode={mode}"))
    place = asked.index_path
    retriever = open_retriever(place, asked.config, asked.changes) if place else None
    bench = open_bench(asked, retriever)
    chosen = measures_for(bench.judgments, asked.task, asked.measures)
    if resamples and SEZNAM not in chosen:
        raise click.UsageError(
            f"--resamples is of {SEZNAM}: for a DaReCzech file with --task rerank, and -m {SEZNAM} where measures are named"
        )
    notes: tuple[str, ...] = bench.known.notes if bench.known else ()
    about: dict[str, object]
    if run_path is not None:
        found, tag = read_run(Path(run_path))
        check_task(tag, asked.task, run_path)
        notes += check_run(found, bench.judgments, run_path, bench.collection, asked.max_unknown)
        name, about = Path(run_path).name, {"run": run_path, "tag": tag}
    else:
        assert retriever is not None
        name = retriever.settings.mode
        about = {"search": dataclasses.asdict(retriever.settings), "depth": asked.depth}
        found = ranked(retriever, bench, asked, "ranking")
    system = measure_system(name, asked.task, found, bench.judgments, chosen, about)
    if resamples:
        mean, deviation = resampled(bench.judgments, found, resamples)
        notes += (
            f"{SEZNAM} over {resamples} samples of the judged pairs, drawn with replacement: {mean:.4f} ± {deviation:.4f}",
        )
    if save_run:
        write_run(Path(save_run), found, f"tandem.{asked.task}.{name}")
        say(f"run written to {save_run}")
    report = describe([system], bench, notes)
    write_reports(report, reports)
    for note in report.notes:
        say(f"Note: {note}")
    show(report, as_json)
    if fail_if_worse and not _holds(
        system, fail_if_worse, bench, chosen, tolerance, asked.max_unknown
    ):
        ctx.exit(1)


def check_task(tag: str, task: Task, place: str) -> None:
    """Refuse a run that Tandem wrote for the other task."""
    other = "rerank" if task == "retrieve" else "retrieve"
    if tag.startswith(f"tandem.{other}."):
        raise DocumentError(
            f"{place}: this run was made with --task {other}; its figures are no match for --task {task}"
        )


def describe(
    systems: list[System],
    bench: Bench,
    notes: tuple[str, ...],
    level: float = 0.95,
    title: str = "",
) -> Report:
    """The report of these systems, with every document named that a list shows."""
    from eval.ranking.report import Measured, make_report, versions

    documents = dict(bench.known.documents) if bench.known else {}
    if bench.collection is not None:
        shown = {
            name for s in systems for ranking in s.run.values() for name, _ in ranking[:10]
        } - documents.keys()
        documents.update(bench.collection.documents(sorted(shown)))
    measured = Measured(
        command_line(),
        judgment_facts(bench.judgments),
        bench.collection.about() if bench.collection is not None else {},
        {system.name: system.about for system in systems},
        versions(),
    )
    return make_report(
        systems, bench.judgments, documents, bench.languages, measured, notes, level, title
    )


def show(report: Report, as_json: bool) -> None:
    """The figures, on stdout."""
    from eval.ranking.report import TASKS
    from eval.ranking.report import as_json as to_json
    from eval.ranking.report_markdown import comparison_table, figures

    if as_json:
        click.echo(to_json(report), nl=False)
        return
    click.echo(
        f"{report.title}: {TASKS[report.task].lower()}; {report.measured.judgments['queries']} queries"
    )
    click.echo(figures(report))
    if report.comparisons:
        click.echo()
        click.echo(comparison_table(report.comparisons))


def _holds(
    system: System,
    path: str,
    bench: Bench,
    measures: dict[str, object],
    tolerance: float,
    max_unknown: float,
) -> bool:
    """Whether `system` is as good as the run at `path`; says which queries are not."""
    from eval.formats.trec import read_run
    from eval.ranking.comparison import losses
    from eval.ranking.relevance import check_run, measure_system

    run, tag = read_run(Path(path))
    check_task(tag, system.task, path)
    for note in check_run(run, bench.judgments, path, bench.collection, max_unknown):
        say(f"Note: {note}")
    base = measure_system(Path(path).name, system.task, run, bench.judgments, measures)
    measure = next(iter(measures))
    before, after = (
        sum(values.values()) / len(values)
        for values in (base.values[measure], system.values[measure])
    )
    worse = losses(base, system, measure)
    if before - after <= tolerance + 1e-9:
        say(
            f"{measure} {after:.4f}, not worse than {before:.4f} of {path}; {len(worse)} queries lost"
        )
        return True
    say(
        f"Error: {measure} fell from {before:.4f} ({path}) to {after:.4f}; queries that got worse: {len(worse)}"
    )
    for query, old, new in worse:
        text = bench.judgments.queries[query].text if query in bench.judgments.queries else ""
        say(f"  {query}\t{old:.4f} -> {new:.4f}\t{text}")
    return False
