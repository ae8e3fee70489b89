"""Judgments: which documents answer which query, from DaReCzech, TREC or BEIR files.

Grades are integers, 0 is not relevant; DaReCzech's labels in [0, 1] are kept beside them. Whether an
index knows the documents is asked in eval/ranking/relevance.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from configs.errors import DocumentError
from eval.formats import beir, dareczech, trec
from eval.formats.file_kinds import LOOKS, expected, sniff
from eval.formats.text_lines import checksum
from eval.formats.topics import Topic, read_queries

__all__ = ["Judgments", "Qrels", "read_judgments", "with_records"]

Qrels = Mapping[str, Mapping[str, int]]
"""query id -> document id -> grade."""


@dataclass(frozen=True, slots=True)
class Judgments:
    """Queries and grades. `scale` is the grade of DaReCzech's label 1.0; 0 for other formats. `lowest`
    is the lowest grade that counts as relevant; 0: the format's own.
    """

    source: str
    format: str
    qrels: Qrels
    queries: Mapping[str, Topic] = field(default_factory=dict)
    records: tuple[dareczech.Record, ...] = ()
    scale: int = 0
    lowest: int = 0
    checksums: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def relevant_from(self) -> int:
        """`lowest`, else 1, or for DaReCzech the first grade above a label of 0.5."""
        return self.lowest or (self.scale // 2 + 1 if self.scale else 1)


def read_judgments(
    path: Path,
    queries: Path | None = None,
    *,
    need_text: bool = True,
    allow_missing: bool = False,
    disagreeing: dareczech.Disagreeing = "refuse",
) -> Judgments:
    """Read judgments of whichever format `path` is: DaReCzech TSV, TREC or BEIR qrels, BEIR folder.

    `queries` gives the texts for qrels that have none; without it, a `queries.jsonl` beside them is
    taken. Raises DocumentError for another format (saying which it looks like), duplicate judgments
    that disagree (unless `disagreeing` settles them), grades out of range, and with `need_text` a judged
    query without text, which `allow_missing` leaves out with a note.
    """
    form = sniff(path)
    if form == "dareczech":
        found = _from_dareczech(path, disagreeing)
    elif form == "beir":
        found = _from_folder(path, disagreeing, allow_missing)
    elif form in ("qrels", "qrels-tsv"):
        found = _from_qrels(path, form, queries, disagreeing, allow_missing)
    else:
        wanted = "a DaReCzech file, TREC qrels or a BEIR folder"
        raise expected(wanted, path)
    if not any(found.qrels.values()):
        raise DocumentError(f"{path}: no judgment in it; {LOOKS[form]} with at least one is needed")
    return _with_text(found, allow_missing) if need_text else found


def _from_dareczech(path: Path, disagreeing: dareczech.Disagreeing) -> Judgments:
    records = dareczech.read_records(path)
    files = {path.name: checksum(path)}
    scale = dareczech.scale_of(records, path)
    empty = Judgments(str(path), "dareczech", {}, scale=scale, checksums=files)
    return with_records(empty, records, disagreeing)


def with_records(
    judgments: Judgments,
    records: Sequence[dareczech.Record],
    disagreeing: dareczech.Disagreeing = "refuse",
) -> Judgments:
    """DaReCzech judgments made of `records`: a query for each text, a grade for each document."""
    settled, notes = dareczech.settle(records, judgments.source, disagreeing)
    qrels: dict[str, dict[str, int]] = {}
    for record in settled:
        grade = round(record.label * judgments.scale)
        qrels.setdefault(record.query_id, {})[record.document_id] = grade
    queries = {record.query_id: Topic(record.query_id, record.query) for record in settled}
    return replace(judgments, qrels=qrels, queries=queries, records=tuple(settled), notes=notes)


def _from_folder(path: Path, disagreeing: dareczech.Disagreeing, allow_missing: bool) -> Judgments:
    files = beir.find(path)
    qrels, notes = trec.read_qrels(files.qrels, disagreeing)
    return Judgments(
        str(path),
        "beir",
        qrels,
        read_queries(files.queries, allow_missing),
        checksums={file.name: checksum(file) for file in (files.queries, files.qrels)},
        notes=notes,
    )


def _from_qrels(
    path: Path,
    form: str,
    queries: Path | None,
    disagreeing: dareczech.Disagreeing,
    allow_missing: bool,
) -> Judgments:
    grades, notes = trec.read_qrels(path, disagreeing)
    beside = [path.parent / f"queries.jsonl{end}" for end in ("", ".gz")]
    queries = queries or next((file for file in beside if file.is_file()), None)
    return Judgments(
        str(path),
        "trec" if form == "qrels" else "beir",
        grades,
        read_queries(queries, allow_missing) if queries else {},
        checksums={file.name: checksum(file) for file in (path, queries) if file},
        notes=notes,
    )


def _with_text(found: Judgments, allow_missing: bool) -> Judgments:
    """Only judged queries, each with its text; those that have none are an error, or left out with a note."""
    missing = [
        query
        for query in found.qrels
        if query not in found.queries
        or not any(map(str.isalnum, found.queries[query].text))  # as the retriever asks
    ]
    named = ", ".join(map(repr, missing[:5])) + (", ..." if len(missing) > 5 else "")
    if missing and len(missing) == len(found.qrels):
        raise DocumentError(
            f"{found.source}: none of its {len(missing)} queries has a text (the first is "
            f"{missing[0]!r}); name the file of query texts with --queries"
        )
    if missing and not allow_missing:
        raise DocumentError(
            f"{found.source}: {len(missing)} of {len(found.qrels)} judged queries have no text ({named}); "
            "add their texts, or leave them out with --allow-missing"
        )
    notes = list(found.notes)
    if missing:
        notes.append(f"{len(missing)} judged queries have no text and were left out ({named})")
    unjudged = len(found.queries.keys() - found.qrels.keys())
    if unjudged:
        notes.append(f"{unjudged} queries without judgments were left out")
    qrels = {query: grades for query, grades in found.qrels.items() if query not in missing}
    kept = {query: found.queries[query] for query in qrels}
    return replace(found, qrels=qrels, queries=kept, notes=tuple(notes))
