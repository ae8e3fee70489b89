"""DaReCzech (Kocián et al. 2022): tab-separated ID, query, url, doc, title, label.

Nothing is quoted or escaped, so a value never holds a tab. Labels run from 0 (useless) to 1 (useful).
Queries have no id of their own: equal texts are one query, numbered as they first appear.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from configs.errors import DocumentError
from eval.textfiles import numbered_lines, refuse

__all__ = ["COLUMNS", "Record", "join", "read_records", "scale_of", "write_records"]

COLUMNS = ("ID", "query", "url", "doc", "title", "label")


@dataclass(frozen=True, slots=True)
class Record:
    """One judged pair. `document_id` starts as the record's own ID; `join` may replace it."""

    id: str
    query_id: str
    query: str
    url: str
    doc: str
    title: str
    label: float
    document_id: str


def read_records(path: Path) -> tuple[list[Record], tuple[str, ...]]:
    """Every judged pair in file order, and notes.

    Only the columns `query` and `label`, and one of `ID`, `url` and `doc`, must be there, in any order.
    Raises DocumentError for missing columns, a label outside [0, 1], an empty query, and a query and
    document judged twice with labels that differ.
    """
    rows = numbered_lines(path)
    _, header = next(rows, (0, ""))
    place = {name.strip().lower(): column for column, name in enumerate(header.split("\t"))}
    missing = [name for name in ("query", "label") if name not in place]
    if missing or not {"id", "url", "doc"} & place.keys():
        raise DocumentError(
            f"{path}:1: the columns {', '.join(COLUMNS)} are expected, not {header[:80]!r}"
        )
    problems: list[str] = []
    records: list[Record] = []
    numbers: dict[str, str] = {}  # query text -> query id
    for number, text in rows:
        cells = text.split("\t")
        if len(cells) != len(place):
            problems.append(f"{path}:{number}: {len(cells)} columns, not {len(place)}")
            continue
        value = {name: cells[column].strip() for name, column in place.items()}
        label = _label(value["label"])
        if label is None:
            problems.append(
                f"{path}:{number}: label {value['label']!r} is not a number from 0 to 1"
            )
            continue
        if not value["query"]:
            problems.append(f"{path}:{number}: the query has no text")
            continue
        query_id = numbers.setdefault(value["query"], f"q{len(numbers) + 1}")
        own = value.get("id") or value.get("url") or f"line{number}"
        records.append(
            Record(
                own,
                query_id,
                value["query"],
                value.get("url", ""),
                value.get("doc", ""),
                value.get("title", ""),
                label,
                own,
            )
        )
    refuse(problems)
    return records, _repeats(records, path)


def _label(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value <= 1 else None


def _repeats(records: Iterable[Record], path: Path | str) -> tuple[str, ...]:
    """A note on pairs judged twice alike; DocumentError on pairs whose labels differ."""
    seen: dict[tuple[str, str], float] = {}
    problems = []
    repeated = 0
    for record in records:
        pair = (record.query_id, record.document_id)
        if pair not in seen:
            seen[pair] = record.label
        elif seen[pair] == record.label:
            repeated += 1
        else:
            problems.append(
                f"{path}: query {record.query!r}, document {record.document_id!r} is judged twice, "
                f"{seen[pair]:g} and {record.label:g}; keep one"
            )
    refuse(problems)
    return (f"{repeated} pairs stood twice with the same label",) if repeated else ()


def scale_of(records: Sequence[Record], path: Path) -> int:
    """The grade of label 1.0 so that every label becomes an integer: 4 for DaReCzech's five labels."""
    for scale in (4, 10, 100):
        if all(
            abs(record.label * scale - round(record.label * scale)) < 1e-9 for record in records
        ):
            return scale
    odd = next(r for r in records if abs(r.label * 100 - round(r.label * 100)) >= 1e-9)
    raise DocumentError(
        f"{path}: label {odd.label!r} of {odd.id!r}; give labels two decimals at most"
    )


def join(records: Sequence[Record], known: frozenset[str], urls: dict[str, str]) -> list[Record]:
    """The records with the ids their documents have in an index: the record's ID, else its url.

    `known` holds the index's document ids, `urls` its documents' addresses -> ids. A record that is
    found by neither keeps its own ID.
    """
    found = []
    for record in records:
        match = next((name for name in (record.id, record.url) if name and name in known), None)
        match = match or urls.get(record.url) or record.document_id
        found.append(replace(record, document_id=match))
    return found


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write the six columns; tabs and line ends inside a value become spaces, as in DaReCzech."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("\t".join(COLUMNS) + "\n")
        for record in records:
            cells = (record.id, record.query, record.url, record.doc, record.title)
            flat = [" ".join(cell.split()) for cell in cells]
            file.write("\t".join([*flat, f"{record.label:g}"]) + "\n")
