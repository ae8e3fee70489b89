"""Queries: JSON lines (BEIR, Tandem), a table of id and text, or plain lines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from configs.errors import DocumentError
from eval.formats.file_kinds import expected, sniff
from eval.formats.text_lines import json_lines, numbered_lines, refuse

__all__ = ["Query", "read_queries"]


@dataclass(frozen=True, slots=True)
class Query:
    """What a user asks. `lang` is an ISO 639-1 code, or empty where it was not given."""

    id: str
    text: str
    lang: str = ""


def read_queries(path: Path) -> dict[str, Query]:
    """Queries by id, from JSON lines (`_id`, `id` or `query_id`; `text` or `query`; `lang`), lines of
    id, tab and text, or plain lines of text (then the line number is the id).

    Raises DocumentError for another format, a query without text or without id, and an id used twice.
    """
    form = sniff(path)
    if form in ("queries", "documents"):
        rows = [(number, _from_object(value)) for number, value in json_lines(path)]
    elif form == "tsv":
        rows = [(number, _from_row(text)) for number, text in numbered_lines(path)]
    elif form == "text":
        rows = [(number, Query(str(number), text.strip())) for number, text in numbered_lines(path)]
    else:
        raise expected("a file of queries (JSON lines, or id, tab and text)", path)
    problems = []
    queries: dict[str, Query] = {}
    for number, query in rows:
        if not query.id:
            problems.append(f"{path}:{number}: a query without an id (_id, id or query_id)")
        elif query.id in queries:
            problems.append(f"{path}:{number}: the query id {query.id!r} is used twice")
        elif not any(map(str.isalnum, query.text)):  # as the retriever asks
            problems.append(f"{path}:{number}: query {query.id!r} has no text")
        queries[query.id] = query
    refuse(problems)
    if not queries:
        raise DocumentError(f"{path}: there is no query in it")
    return queries


def _from_object(value: dict[str, object]) -> Query:
    def first(*keys: str) -> str:
        return next((str(value[key]) for key in keys if value.get(key) is not None), "")

    return Query(first("_id", "id", "query_id"), first("text", "query"), first("lang", "language"))


def _from_row(text: str) -> Query:
    """id, text and, where there is a third column, language."""
    cells = [cell.strip() for cell in text.split("\t")]
    return Query(cells[0], cells[1] if len(cells) > 1 else "", cells[2] if len(cells) > 2 else "")
