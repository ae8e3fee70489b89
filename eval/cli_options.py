"""What the relevance commands share: options, opening the index, and the facts a report states."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from configs.errors import ConfigError, DocumentError
from configs.options import config_options
from configs.progress import progress_bar

if TYPE_CHECKING:
    from eval.formats.judgments import Judgments
    from eval.formats.topics import Topic
    from eval.ranking.relevance import Known, Task
    from eval.ranking.report import Report
    from eval.ranking.systems import Spec
    from indexer.schema import Collection, Ranking
    from retriever.retriever import Retriever

__all__ = [
    "Asked",
    "Bench",
    "allow_missing_option",
    "disagreeing_option",
    "judgment_facts",
    "judgment_options",
    "languages_of",
    "open_bench",
    "open_retriever",
    "ranked",
    "report_option",
    "say",
    "spec_retriever",
    "write_reports",
]

F = TypeVar("F", bound=Callable[..., Any])


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """What every command that measures on judgments is told; the names are those of its options."""

    judgments: str
    index_path: str | None
    queries: str | None
    task: Task
    measures: tuple[str, ...]
    depth: int
    relevant_from: int | None
    max_unknown: float
    allow_missing: bool
    disagreeing: str
    config: str | None
    changes: tuple[str, ...]


def disagreeing_option(command: F) -> F:
    """`--disagreeing`, as an argument of that name."""
    return click.option(
        "--disagreeing",
        type=click.Choice(["refuse", "first", "highest"]),
        default="refuse",
        show_default=True,
        help="What to do where one pair was judged twice with different grades.",
    )(command)


def allow_missing_option(command: F) -> F:
    """`--allow-missing`, as an argument of that name."""
    return click.option(
        "--allow-missing",
        is_flag=True,
        help="Leave out judged queries that have no text, and say so. Default: they are an error.",
    )(command)


def judgment_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """JUDGMENTS, `-i`, `--queries`, `--task`, `-m`, `--depth`, `--relevant-from`, `--max-unknown`,
    `--allow-missing`, `--disagreeing`, `--config` and `--set`, as one argument `asked`.
    """

    @functools.wraps(command)
    def called(*args: Any, **values: Any) -> Any:
        names = [entry.name for entry in dataclasses.fields(Asked)]
        return command(*args, asked=Asked(**{n: values.pop(n) for n in names}), **values)

    options: tuple[Callable[[Any], Any], ...] = (
        config_options,
        disagreeing_option,
        allow_missing_option,
        click.option(
            "--max-unknown",
            type=click.FloatRange(0, 1),
            default=0.1,
            show_default=True,
            help="Share of judged documents that may be missing from the index.",
        ),
        click.option(
            "--relevant-from",
            type=int,
            metavar="GRADE",
            help="Lowest grade that counts as relevant. Default: 1; DaReCzech: labels above 0.5.",
        ),
        click.option(
            "--depth",
            type=click.IntRange(1, 10_000),
            default=100,
            show_default=True,
            help="Documents ranked for each query.",
        ),
        click.option(
            "-m",
            "--measure",
            "measures",
            multiple=True,
            metavar="MEASURE",
            help="Any measure of ir_measures, such as nDCG@10, AP(rel=2), RBP(p=0.9), or SeznamP@10; "
            "may be repeated, the first one decides. Default: by task.",
        ),
        click.option(
            "--task",
            type=click.Choice(["retrieve", "rerank"]),
            default="retrieve",
            show_default=True,
            help="Search the whole index, or only order each query's judged documents.",
        ),
        click.option(
            "--queries",
            metavar="FILE",
            help="Texts of the queries, where JUDGMENTS has none (JSON lines, or id TAB text). "
            "Default: queries.jsonl beside it.",
        ),
        click.option(
            "-i", "--index", "index_path", metavar="INDEX", help="The index folder to search."
        ),
        click.argument("judgments"),
    )
    for option in options:
        called = option(called)
    return called


def report_option(command: F) -> F:
    """`--report FILE` and `--title TEXT`, as arguments `reports` and `title`."""
    command = click.option(
        "--title",
        default="",
        metavar="TEXT",
        help="The report's title. Default: the systems and the judgments by name.",
    )(command)
    return click.option(
        "--report",
        "reports",
        multiple=True,
        metavar="FILE",
        help="Write a report; .html, .json or .md by its name. May be repeated.",
    )(command)


def say(text: str) -> None:
    """Talk, on stderr."""
    click.echo(text, err=True)


def open_retriever(index_path: str, config: str | None, changes: Sequence[str]) -> Retriever:
    """The index, searched as `search` and `serve` would with these settings.

    Its encoder remembers what it encoded: the same queries are searched by many systems.
    """
    from configs.load import load
    from configs.settings import Settings
    from eval.sentences.encoding import Remembering
    from indexer.collections import open_collection
    from retriever.retriever import Retriever

    settings = load(Settings, config, changes)
    device, cluster = settings.encoder.device, settings.elasticsearch
    encoder = Remembering(open_collection(index_path, None, device, cluster).encoder)
    return Retriever.open(index_path, encoder, settings.search, device, cluster)


@dataclasses.dataclass(frozen=True, slots=True)
class Bench:
    """Judgments to measure on, joined to an index where there is one."""

    judgments: Judgments
    known: Known | None
    retriever: Retriever | None
    languages: Mapping[str, str]

    @property
    def collection(self) -> Collection | None:
        return self.retriever.collection if self.retriever else None


def open_bench(asked: Asked, retriever: Retriever | None) -> Bench:
    """Read judgments, check them against the index, and find the queries' languages."""
    from eval.formats.judgments import read_judgments
    from eval.ranking.relevance import join_index

    disagreeing: Any = asked.disagreeing  # click has checked it
    judgments = read_judgments(
        Path(asked.judgments),
        Path(asked.queries) if asked.queries else None,
        need_text=retriever is not None,
        allow_missing=asked.allow_missing,
        disagreeing=disagreeing,
    )
    judgments = dataclasses.replace(judgments, lowest=asked.relevant_from or 0)
    known = None
    if retriever is not None:
        known = join_index(judgments, retriever.collection, asked.max_unknown, disagreeing)
        judgments = known.judgments
    return Bench(judgments, known, retriever, languages_of(judgments.queries))


def languages_of(queries: Mapping[str, Topic]) -> dict[str, str]:
    """Each query's language: as given, else detected; empty where it cannot be told."""
    from indexer.text import languages

    open_ones = [query for query, entry in queries.items() if not entry.lang]
    detected = languages.detect([queries[query].text for query in open_ones])
    found = dict(zip(open_ones, detected, strict=True))
    return {query: entry.lang or found[query] for query, entry in queries.items()}


def ranked(retriever: Retriever, bench: Bench, asked: Asked, label: str) -> dict[str, Ranking]:
    """The rankings of every judged query, for the task."""
    from eval.ranking.relevance import rerank, retrieve

    queries = bench.judgments.queries
    with progress_bar(label, len(queries)) as step:
        if asked.task == "retrieve":
            return retrieve(retriever, queries, asked.depth, progress=step)
        judged = {
            query: list(retriever.collection.documents(list(grades)))
            for query, grades in bench.judgments.qrels.items()
        }
        return rerank(retriever, queries, judged, progress=step)


def judgment_facts(judgments: Judgments) -> dict[str, object]:
    """What a report says of the judgments."""
    facts: dict[str, object] = {
        "source": judgments.source,
        "format": judgments.format,
        "queries": len(judgments.qrels),
        "judgments": sum(map(len, judgments.qrels.values())),
        "relevant from grade": judgments.relevant_from,
    }
    for name, digest in judgments.checksums.items():
        facts[f"sha256 of {name}"] = digest
    return facts


def spec_retriever(
    spec: Spec, shared: Retriever | None, config: str | None, changes: Sequence[str]
) -> Retriever:
    """The retriever that a system on the command line means; the index is opened once."""
    from configs.load import load
    from configs.settings import Settings

    if spec.kind == "index":
        return open_retriever(spec.path, config, changes)
    if shared is None:
        raise DocumentError(f"{spec.text}: settings need an index to search; name it with -i INDEX")
    if spec.config and config:
        raise ConfigError(f"{spec.text}: a system that is a YAML file replaces --config; give one")
    both = [*changes, *spec.changes]
    return shared.with_settings(load(Settings, spec.config or config, both).search)


def write_reports(report: Report, paths: Sequence[str]) -> None:
    """Write each, and say so."""
    from eval.ranking.report_files import write_report

    for path in paths:
        write_report(report, Path(path))
        say(f"report written to {path}")
