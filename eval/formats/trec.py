"""TREC files: qrels (and BEIR's table of them) and runs.

A run file is read as trec_eval reads it: the rank column is not looked at; documents go by score as a
32-bit float, highest first, and ties by id from z to a. A run is written so that every reader, trec_eval
included, sees the order it was written in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from configs.errors import DocumentError
from eval.formats.dareczech import Disagreeing
from eval.formats.file_kinds import expected, sniff
from eval.formats.text_lines import numbered_lines, refuse
from indexer.schema import Ranking

__all__ = ["GRADES", "Run", "read_qrels", "read_run", "write_qrels", "write_run"]

Run = Mapping[str, Ranking]
"""query id -> ranking, best first."""

GRADES = range(-2, 101)
"""Grades that are taken for grades (-2 is TREC's mark for spam); beyond, a column was mistaken."""


def read_qrels(
    path: Path, disagreeing: Disagreeing = "refuse"
) -> tuple[dict[str, dict[str, int]], tuple[str, ...]]:
    """Grades by query and document, from TREC's four columns or BEIR's three; and notes on them.

    Raises DocumentError for another format, a grade that is no integer or out of range, and a pair
    judged twice with different grades, unless the `first` or the `highest` shall stand. Equal repeats
    are counted in the notes.
    """
    form = sniff(path)
    if form not in ("qrels", "qrels-tsv"):
        raise expected("a file of qrels", path)
    qrels: dict[str, dict[str, int]] = {}
    problems: list[str] = []
    disagreed: list[str] = []
    judged = differing = 0
    for number, text in numbered_lines(path):
        cells = text.split() if form == "qrels" else [cell.strip() for cell in text.split("\t")]
        if len(cells) != (4 if form == "qrels" else 3):
            problems.append(f"{path}:{number}: {len(cells)} columns in {text[:60]!r}")
            continue
        query, document, label = cells[0], cells[-2], cells[-1]
        grade = _grade(label)
        first = form == "qrels-tsv" and not qrels and not problems
        if first and grade is None and "query" in query.lower():
            continue  # the header
        if grade is None:
            wanted = f"an integer from {GRADES[0]} to {GRADES[-1]} is expected"
            problems.append(f"{path}:{number}: grade {label!r}; {wanted}")
            continue
        before = qrels.setdefault(query, {}).setdefault(document, grade)
        judged += 1
        if before != grade:
            differing += 1
            disagreed.append(
                f"{path}:{number}: query {query!r}, document {document!r} is judged twice, "
                f"{before} and {grade}; keep one, or say --disagreeing first or highest"
            )
            if disagreeing == "highest":
                qrels[query][document] = max(before, grade)
    refuse(problems + (disagreed if disagreeing == "refuse" else []))
    repeated = judged - differing - sum(map(len, qrels.values()))
    notes = [f"{repeated} judgments stood twice with the same grade"] if repeated else []
    if differing:
        notes.append(
            f"{differing} judgments disagreed with another; the {disagreeing} grade was taken"
        )
    return qrels, tuple(notes)


def _grade(text: str) -> int | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return int(value) if value.is_integer() and int(value) in GRADES else None


def write_qrels(path: Path, qrels: Mapping[str, Mapping[str, int]]) -> None:
    """Write TREC qrels."""
    rows = [(query, doc, grade) for query, docs in qrels.items() for doc, grade in docs.items()]
    _refuse_spaces(path, (name for query, doc, _ in rows for name in (query, doc)))
    path.write_text("".join(f"{query} 0 {doc} {grade}\n" for query, doc, grade in rows), "utf-8")


def read_run(path: Path) -> tuple[dict[str, Ranking], str]:
    """Rankings by query and the run's tag.

    Raises DocumentError for another format, a score that is no number, or a document listed twice.
    """
    if sniff(path) != "run":
        raise expected("a TREC run", path)
    found: dict[str, dict[str, float]] = {}
    problems: list[str] = []
    tag = ""
    for number, text in numbered_lines(path):
        cells = text.split()
        if len(cells) != 6:
            problems.append(f"{path}:{number}: {len(cells)} columns, not 6, in {text[:60]!r}")
            continue
        query, _, document, _, score, tag = cells
        ranking = found.setdefault(query, {})
        if document in ranking:
            problems.append(f"{path}:{number}: query {query!r} lists document {document!r} twice")
        try:
            ranking[document] = float(score)
        except ValueError:
            problems.append(f"{path}:{number}: the score {score!r} is no number")
            continue
        if not np.isfinite(ranking[document]):
            problems.append(f"{path}:{number}: the score {score!r} is not finite")
    refuse(problems)
    return {query: _trec_order(scores) for query, scores in found.items()}, tag


def _trec_order(scores: Mapping[str, float]) -> Ranking:
    """Best first as trec_eval sorts: by 32-bit score, then by id in bytes, both from high to low."""
    return sorted(
        scores.items(),
        key=lambda item: (float(np.float32(item[1])), item[0].encode()),
        reverse=True,
    )


def write_run(path: Path, run: Run, tag: str) -> None:
    """Write a run; scores that tie as 32-bit floats are lowered a last digit, so that order stands."""
    _refuse_spaces(
        path, (name for q, ranking in run.items() for name in (q, *(d for d, _ in ranking)))
    )
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for query, ranking in run.items():
            above = np.float32(np.inf)
            for rank, (document, score) in enumerate(ranking, start=1):
                below = np.nextafter(above, np.float32(-np.inf), dtype=np.float32)
                above = min(np.float32(score), below)
                file.write(f"{query} Q0 {document} {rank} {float(above)!r} {tag}\n")


def _refuse_spaces(path: Path, names: Iterable[str]) -> None:
    for name in names:
        if not name or len(name.split()) != 1 or name != name.strip():
            raise DocumentError(
                f"{path}: the id {name!r} cannot stand in a TREC file, whose columns end at a space; "
                "write a BEIR folder instead"
            )
