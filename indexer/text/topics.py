"""Files of queries: JSON lines (BEIR, Tandem), lines of id, tab and text, or plain lines.

`tandem search --queries` and every measure read them here. Knows nothing of what may be searched for.
"""

from __future__ import annotations

import io
import itertools
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from configs.errors import DocumentError
from indexer.text import decoding, languages
from indexer.text.compression import UNREADABLE, unpacked
from indexer.text.decoding import Decoding
from indexer.text.rejects import OnReject, Reject

__all__ = ["Topic", "read_topics"]

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Topic:
    """A query as it stands in a file (TREC's word). `lang` is an ISO 639-1 code, or empty."""

    id: str
    text: str
    lang: str = ""
    line: int = field(default=0, compare=False)
    """Where it stands, counting from 1."""


def read_topics(source: str | Path) -> dict[str, Topic]:
    """Queries by id, from a file, compressed or not, a pipe, or standard input (`-`).

    JSON lines have `_id`, `id` or `query_id`, `text` or `query`, and may have `lang`. Of other files each
    line is an id, a tab and a query (and, after another tab, a language's code), or a query whose id is
    its line number. Raises DocumentError for a query without id, an id used twice, and what is no text.
    """
    place = "standard input" if source == "-" else str(source)
    problems: list[str] = []

    def on_reject(reject: Reject) -> None:
        reason = reject.reason.partition(", or read it with --encoding")[0]  # not for queries
        problems.append(f"{reject.place}: {reason.partition(', or name its encoding')[0]}")

    found: dict[str, Topic] = {}
    for topic in _topics(source, place, problems, on_reject):
        if not topic.id:
            problems.append(f"{place}:{topic.line}: a query without an id (_id, id or query_id)")
        elif topic.id in found:
            first = found[topic.id].line
            problems.append(
                f"{place}:{topic.line}: the query id {topic.id!r} is used twice (first in line {first})"
            )
        found.setdefault(topic.id, topic)
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise DocumentError("; ".join(problems[:_SHOWN]) + more)
    if not found:
        raise DocumentError(f"{place}: there is no query in it")
    return found


def _topics(
    source: str | Path, place: str, problems: list[str], on_reject: OnReject
) -> Iterator[Topic]:
    try:
        if source == "-":
            raw: Any = sys.stdin.buffer
            stream = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(raw)
            yield from _parsed(unpacked(stream), place, problems, on_reject)
            return
        path = Path(source)
        if path.is_dir() or not path.exists():  # a pipe is fine
            problem = "a folder, not a file" if path.is_dir() else "no such file"
            raise DocumentError(f"{source}: {problem}")
        with path.open("rb") as file:
            yield from _parsed(unpacked(file, path.name), place, problems, on_reject)
    except UNREADABLE as error:
        raise DocumentError(f"{place}: cannot be read: {error}") from error


def _parsed(
    stream: io.BufferedReader[Any], place: str, problems: list[str], on_reject: OnReject
) -> Iterator[Topic]:
    lines = decoding.lines(stream, place, on_reject, Decoding())
    numbered = ((n, text.rstrip("\r\n")) for n, text in lines if text.strip())
    first = next(numbered, None)
    if first is None:
        return
    is_json = first[1].lstrip().startswith("{")
    for number, text in itertools.chain([first], numbered):
        if not is_json:
            yield _of_line(text, number)
            continue
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:
            problems.append(f"{place}:{number}: no JSON: {error}")
            continue
        if isinstance(record, dict):
            yield _of_object(record, number)
        else:
            problems.append(f"{place}:{number}: a JSON object is expected, not {text[:40]!r}")


def _of_object(record: Mapping[str, Any], number: int) -> Topic:
    def first(*keys: str) -> str:
        return next((str(record[key]) for key in keys if record.get(key) is not None), "")

    text = first("text", "query")
    return Topic(first("_id", "id", "query_id"), text, first("lang", "language"), number)


def _of_line(text: str, number: int) -> Topic:
    name, tab, query = text.partition("\t")
    if not tab:
        return Topic(str(number), text.strip(), "", number)
    query, tab, lang = query.rpartition("\t")
    if tab and lang.strip() in languages.NAMES:
        return Topic(name.strip(), query.strip(), lang.strip(), number)
    return Topic(name.strip(), f"{query}{tab}{lang}".strip(), "", number)
