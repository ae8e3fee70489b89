"""Rankings of judged queries, from the retriever that serves: two tasks that are never mixed.

`retrieve` puts each query to the whole index. `rerank` orders a query's judged documents by our score
and looks at nothing else, which is what DaReCzech's published figures do. The first finds fewer of the
judged documents and is the harder; figures of the two cannot be compared.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from configs.errors import DocumentError
from eval.formats import dareczech
from eval.formats.judgments import Judgments, with_records
from eval.formats.topics import Topic
from eval.formats.trec import Run
from eval.ranking.metrics import SEZNAM, Measure, measure_run, parse_measures, seznam_precision
from indexer.schema import Document, Mode, Ranking

if TYPE_CHECKING:
    from indexer.schema import Collection
    from retriever.retriever import Retriever

__all__ = [
    "MEASURES",
    "Known",
    "System",
    "Task",
    "check_run",
    "join_index",
    "measure_system",
    "measures_for",
    "rerank",
    "resampled",
    "retrieve",
]

Task = Literal["retrieve", "rerank"]
Progress = Callable[[int], None]

MEASURES = {
    "retrieve": ("nDCG@10", "AP", "RR", "P@10", "R@100"),
    "rerank": ("nDCG@10", "AP", "P@10"),
    "rerank dareczech": (SEZNAM, "nDCG@10", "AP"),
}
"""Measures where none are asked for."""

BATCH = (
    32  # queries the retriever is handed at a time: a progress bar moves, and memory stays small
)


@dataclass(frozen=True, slots=True)
class System:
    """One thing measured. `values` is measure -> query -> value; `about` says what was set."""

    name: str
    task: Task
    run: Run
    values: Mapping[str, Mapping[str, float]]
    about: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Known:
    """Judgments whose documents carry an index's ids, the judged documents it has, and notes."""

    judgments: Judgments
    documents: Mapping[str, Document]
    notes: tuple[str, ...]


def retrieve(
    retriever: Retriever,
    queries: Mapping[str, Topic],
    depth: int = 100,
    mode: Mode | None = None,
    progress: Progress = lambda done: None,
) -> dict[str, Ranking]:
    """Each query against the whole index: the best `depth` documents, ties by id."""
    run: dict[str, Ranking] = {}
    ids = list(queries)
    for start in range(0, len(ids), BATCH):
        batch = ids[start : start + BATCH]
        texts = [queries[query].text for query in batch]
        run.update(zip(batch, retriever.rank(texts, depth=depth, mode=mode), strict=True))
        progress(len(batch))
    return run


def rerank(
    retriever: Retriever,
    queries: Mapping[str, Topic],
    judged: Mapping[str, Sequence[str]],
    mode: Mode | None = None,
    progress: Progress = lambda done: None,
) -> dict[str, Ranking]:
    """Each query's judged documents, all of them, by our score; ties by id."""
    run: dict[str, Ranking] = {}
    for query, documents in judged.items():
        scores = retriever.score(queries[query].text, list(documents), mode=mode)
        pairs = [(name, float(score)) for name, score in zip(documents, scores, strict=True)]
        run[query] = sorted(pairs, key=lambda pair: (-pair[1], pair[0]))
        progress(1)
    return run


def join_index(
    judgments: Judgments,
    collection: Collection,
    limit: float = 0.1,
    disagreeing: dareczech.Disagreeing = "refuse",
) -> Known:
    """The judgments in the index's own document ids, and the judged documents it has.

    DaReCzech's documents are found as `dareczech.join` says. Raises DocumentError when more than the
    share `limit` of the judged documents is not in the index; fewer are counted and named in a note,
    and stay in the qrels, where they count as not found.
    """
    if judgments.records:
        judgments = _join_records(judgments, collection, disagreeing)
    wanted = sorted({name for grades in judgments.qrels.values() for name in grades})
    documents = collection.documents(wanted)
    missing = [name for name in wanted if name not in documents]
    if not missing:
        return Known(judgments, documents, ())
    named = ", ".join(map(repr, missing[:5])) + (", ..." if len(missing) > 5 else "")
    text = f"{len(missing)} of {len(wanted)} judged documents are not in the index ({named})"
    if not documents:
        raise DocumentError(
            f"{judgments.source}: none of its {len(wanted)} judged documents is in the index "
            f"({named}); were the judgments made on another collection?"
        )
    if len(missing) > limit * len(wanted):
        raise DocumentError(
            f"{judgments.source}: {text}, more than the share {limit:g} that --max-unknown allows; "
            "is it the right index?"
        )
    return Known(judgments, documents, (f"{text}; they count as not found",))


def _join_records(
    judgments: Judgments, collection: Collection, disagreeing: dareczech.Disagreeing
) -> Judgments:
    names = {name for record in judgments.records for name in (record.id, record.url) if name}
    known = collection.documents(sorted(names)).keys()
    urls = {} if known else _addresses(collection, {record.url for record in judgments.records})
    records, column = dareczech.join(judgments.records, known, urls)
    if records == list(judgments.records):
        return judgments
    joined = with_records(judgments, records, disagreeing)
    note = f"the documents were told by the column {column}"
    return replace(joined, notes=(*judgments.notes, note, *joined.notes))


def _addresses(collection: Collection, wanted: set[str]) -> dict[str, str]:
    """url -> document id, for the wanted urls."""
    found: dict[str, str] = {}
    ids = collection.document_ids()
    while batch := list(itertools.islice(ids, 4096)):
        for document in collection.documents(batch).values():
            if document.url in wanted:
                found.setdefault(document.url, document.id)
    return found


def check_run(
    run: Run, judgments: Judgments, source: str, collection: Collection | None, limit: float = 0.1
) -> tuple[str, ...]:
    """Notes on a run read from a file: queries it lacks, ids that nobody knows.

    Raises DocumentError when it answers none of the judged queries, when none of its documents is
    judged, or when more than the share `limit` of its documents is not in the index.
    """
    shared = run.keys() & judgments.qrels.keys()
    if not shared:
        raise DocumentError(
            f"{source}: it answers none of the {len(judgments.qrels)} judged queries (it has "
            f"{', '.join(map(repr, list(run)[:3]))}); is it a run of other queries?"
        )
    listed = {name for query in shared for name, _ in run[query]}
    if collection is not None:
        missing = sorted(listed - collection.documents(sorted(listed)).keys())
        if len(missing) > limit * len(listed):
            raise DocumentError(
                f"{source}: {len(missing)} of its {len(listed)} documents are not in the index "
                f"({', '.join(map(repr, missing[:5]))}); it looks like a run from another index"
            )
    judged = {name for query in shared for name in judgments.qrels[query]}
    if not listed & judged:
        raise DocumentError(
            f"{source}: none of its {len(listed)} documents is judged; it looks like a run from "
            "another index"
        )
    notes = []
    if len(shared) < len(judgments.qrels):
        lacking = sorted(judgments.qrels.keys() - shared)
        notes.append(
            f"{source} lacks {len(lacking)} of {len(judgments.qrels)} judged queries, which count 0 "
            f"({', '.join(map(repr, lacking[:5]))})"
        )
    if len(run) > len(shared):
        notes.append(f"{source}: {len(run) - len(shared)} queries without judgments left out")
    return tuple(notes)


def measures_for(judgments: Judgments, task: Task, names: Sequence[str] = ()) -> dict[str, Measure]:
    """The measures asked for, or the task's own; judged@k beside every cutoff of a retrieval.

    SEZNAM maps to None: it is computed here. Raises ConfigError for what is no measure, and
    DocumentError for SEZNAM without DaReCzech's labels or outside re-ranking.
    """
    own = "rerank dareczech" if task == "rerank" and judgments.records else task
    names = list(names or MEASURES[own])
    if SEZNAM in names and own != "rerank dareczech":
        raise DocumentError(
            f"{SEZNAM} is DaReCzech's precision among judged documents; it needs a DaReCzech file "
            "and --task rerank"
        )
    others = [name for name in names if name != SEZNAM]
    parsed = parse_measures(others, judgments.relevant_from)
    seznam: dict[str, Measure] = {SEZNAM: None} if SEZNAM in names else {}
    # the first named stays first: it is the one that decides
    measures = seznam | parsed if names[0] == SEZNAM else parsed | seznam
    if task == "retrieve":
        cutoffs = {measure.params.get("cutoff") for measure in parsed.values()} - {None} | {10}
        measures |= parse_measures([f"Judged@{cutoff}" for cutoff in sorted(cutoffs)])
    return measures


def measure_system(
    name: str,
    task: Task,
    run: Run,
    judgments: Judgments,
    measures: Mapping[str, Measure],
    about: Mapping[str, object] | None = None,
) -> System:
    """The run's values, query by query, for every judged query."""
    parsed = {key: measure for key, measure in measures.items() if measure is not None}
    values = measure_run(parsed, judgments.qrels, run)
    if SEZNAM in measures:
        values[SEZNAM] = _seznam(judgments.records, judgments.qrels, run)
    ordered = {key: values[key] for key in measures}
    return System(name, task, run, ordered, about or {})


def resampled(judgments: Judgments, run: Run, count: int, seed: int = 0) -> tuple[float, float]:
    """Mean and sample standard deviation of SEZNAM over `count` samples of the judged pairs, each drawn with
    replacement and as large as all of them.

    Pairs are drawn, not queries, so that a query's list shrinks and repeats itself: the mean may differ from the value
    over all pairs. A query of which no pair was drawn is not in the sample's mean. (Bednář et al. 2024,
    seznam/czech-semantic-embedding-models, evaluate_relevance.py.)
    """
    if count < 2:
        raise ValueError(f"count must be at least 2, not {count}")
    generator = np.random.default_rng(seed)
    records = judgments.records
    means = []
    for _ in range(count):
        drawn = [records[row] for row in generator.integers(len(records), size=len(records))]
        values = _seznam(drawn, {record.query_id for record in drawn}, run)
        means.append(sum(values.values()) / len(values))
    return float(np.mean(means)), float(np.std(means, ddof=1))


def _seznam(
    judged: Sequence[dareczech.Record], queries: Iterable[str], run: Run
) -> dict[str, float]:
    """Over records, as their script does: a pair that stands twice counts twice.

    A judged document without a score (it is not in the index) goes to the end.
    """
    rows: dict[str, list[dareczech.Record]] = {query: [] for query in queries}
    for record in judged:
        rows[record.query_id].append(record)
    values = {}
    for query, records in rows.items():
        scores = dict(run.get(query, []))
        values[query] = seznam_precision(
            [scores.get(record.document_id, float("-inf")) for record in records],
            [record.label for record in records],
            [record.document_id for record in records],
        )
    return values
