"""A measurement as one record: what was measured and how, figures, parts, worst queries, what to judge.

The same record becomes JSON (`as_json`), Markdown (eval/ranking/report_markdown.py) and one HTML file
(eval/ranking/report_html.py). Nothing in it tells the time: where nothing changed, it is the same byte by byte.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.formats.judgments import Judgments
from eval.ranking.comparison import Comparison, Row, compare, losses, table
from eval.ranking.relevance import System
from eval.ranking.slices import Coverage, Reach, Slice, Unjudged, coverage, reach, slices, unjudged
from indexer.schema import Document

__all__ = ["TASKS", "Listed", "Measured", "Report", "Worst", "as_json", "make_report", "versions"]

SHOWN = 10  # documents in a list, and queries among the worst
SUGGESTED = 100


@dataclass(frozen=True, slots=True)
class Measured:
    """What the figures depend on."""

    command: str
    judgments: Mapping[str, object]
    index: Mapping[str, object]
    systems: Mapping[str, Mapping[str, object]]
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Listed:
    """A document in a result list. `grade` None: not judged; `rank` None: not among those ranked."""

    document_id: str
    title: str
    language: str
    rank: int | None
    grade: int | None


@dataclass(frozen=True, slots=True)
class Worst:
    """A query that went badly for `system`: each list by its caption."""

    system: str
    query_id: str
    text: str
    language: str
    values: Mapping[str, float]
    lists: Mapping[str, Sequence[Listed]]


@dataclass(frozen=True, slots=True)
class Report:
    """Everything a report shows. `measure` is the one that slices and worst queries go by."""

    title: str
    task: str
    measure: str
    relevant_from: int
    level: float
    measured: Measured
    notes: Sequence[str]
    rows: Sequence[Row]
    comparisons: Sequence[Comparison]
    slices: Sequence[Slice]
    reach: Sequence[Reach]
    coverage: Sequence[Coverage]
    worst: Sequence[Worst]
    judge_next: Sequence[Unjudged]
    unjudged: int
    texts: Mapping[str, str]
    """Query id -> text."""
    per_query: Mapping[str, Mapping[str, Mapping[str, float]]]
    """Measure -> system -> query id -> value."""


TASKS: Mapping[str, str] = {
    "retrieve": "Retrieval from the whole index",
    "rerank": "Re-ranking of judged documents only",
}


def make_report(
    systems: Sequence[System],
    judgments: Judgments,
    documents: Mapping[str, Document],
    languages: Mapping[str, str],
    measured: Measured,
    notes: Sequence[str] = (),
    level: float = 0.95,
    title: str = "",
) -> Report:
    """The record of `systems` (the first is the base) on `judgments`.

    `documents` holds those that can be named (any part), `languages` each query's language. Without a
    `title` the report is named after its systems and its judgments.
    """
    comparisons = compare(systems, level)  # first: it refuses systems of two tasks
    measure = next(iter(systems[0].values))
    tongues = {name: document.lang for name, document in documents.items()}
    lowest = judgments.relevant_from
    relevant = {
        query: frozenset(
            tongues[name] for name, grade in grades.items() if grade >= lowest and tongues.get(name)
        )
        for query, grades in judgments.qrels.items()
    }
    task = systems[0].task
    left = [] if task == "rerank" else unjudged(systems, judgments.qrels)
    return Report(
        title=title or f"{_listed_names(systems)} on {Path(judgments.source).name}",
        task=task,
        measure=measure,
        relevant_from=lowest,
        level=level,
        measured=measured,
        notes=tuple(dict.fromkeys([*judgments.notes, *notes])),
        rows=table(systems, level),
        comparisons=comparisons,
        slices=slices(systems, measure, judgments.queries, languages, relevant),
        reach=reach(systems, judgments.qrels, lowest, languages, tongues),
        coverage=coverage(systems, judgments.qrels, lowest),
        worst=_worst(systems, measure, judgments, documents, languages),
        judge_next=left[:SUGGESTED],
        unjudged=len(left),
        texts={query: entry.text for query, entry in judgments.queries.items()},
        per_query={
            name: {system.name: system.values[name] for system in systems}
            for name in systems[0].values
        },
    )


def _listed_names(systems: Sequence[System]) -> str:
    *names, last = [system.name for system in systems]
    return f"{', '.join(names)} and {last}" if names else last


def _worst(
    systems: Sequence[System],
    measure: str,
    judgments: Judgments,
    documents: Mapping[str, Document],
    languages: Mapping[str, str],
) -> list[Worst]:
    """For each further system its largest losses to the first, the two lists side by side; for a single
    system its lowest values, beside the relevant documents.
    """
    base, *others = systems

    def entry(query: str, system: System, lists: Mapping[str, Sequence[Listed]]) -> Worst:
        text = judgments.queries[query].text if query in judgments.queries else ""
        values = {one.name: one.values[measure][query] for one in systems}
        return Worst(system.name, query, text, languages.get(query, ""), values, lists)

    def shown(query: str, *both: System) -> dict[str, Sequence[Listed]]:
        return {one.name: _list(one, query, judgments, documents) for one in both}

    if others:
        return [
            entry(query, other, shown(query, base, other))
            for other in others
            for query, _, _ in losses(base, other, measure)[: max(SHOWN // len(others), 3)]
        ]
    values = base.values[measure]
    queries = sorted(values, key=lambda query: (values[query], query))[:SHOWN]
    return [
        entry(
            query,
            base,
            shown(query, base) | {"judged relevant": _wanted(base, query, judgments, documents)},
        )
        for query in queries
    ]


def _list(
    system: System, query: str, judgments: Judgments, documents: Mapping[str, Document]
) -> list[Listed]:
    grades = judgments.qrels[query]
    return [
        _listed(name, rank, grades.get(name), documents)
        for rank, (name, _) in enumerate(system.run.get(query, [])[:SHOWN], start=1)
    ]


def _wanted(
    system: System, query: str, judgments: Judgments, documents: Mapping[str, Document]
) -> list[Listed]:
    """The relevant documents, the best grade first, with the rank each was found at."""
    ranks = {name: rank for rank, (name, _) in enumerate(system.run.get(query, []), start=1)}
    grades = judgments.qrels[query]
    relevant = [name for name, grade in grades.items() if grade >= judgments.relevant_from]
    relevant.sort(key=lambda name: (-grades[name], name))
    return [_listed(name, ranks.get(name), grades[name], documents) for name in relevant[:SHOWN]]


def _listed(
    name: str, rank: int | None, grade: int | None, documents: Mapping[str, Document]
) -> Listed:
    document = documents.get(name)
    title = "" if document is None else document.title or " ".join(document.text.split())
    short = title if len(title) <= 100 else title[:99].rstrip() + "…"
    return Listed(name, short, "" if document is None else document.lang, rank, grade)


def versions() -> dict[str, str]:
    """Of everything that a figure may depend on."""
    names = ("tandem-search", "ir_measures", "pytrec_eval-terrier", "numpy", "faiss-cpu", "tantivy")
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def as_json(report: Report) -> str:
    """The record, floats to eight places: more would differ between machines for no reason."""
    return json.dumps(_rounded(dataclasses.asdict(report)), ensure_ascii=False, indent=1) + "\n"


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 8)
    if isinstance(value, dict):
        return {str(key): _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value
