"""DaReCzech (Kocián et al. 2022): tab-separated ID, query, url, doc, title, label.

Nothing is quoted or escaped, so a value never holds a tab. Labels run from 0 (useless) to 1 (useful).
Queries have no id of their own: equal texts are one query, numbered as they first appear. A document
is its url, which is also its id when such a file is indexed, and in the page's own judgments.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from configs.errors import DocumentError
from eval.formats.text_lines import numbered_lines, refuse

__all__ = [
    "COLUMNS",
    "Disagreeing",
    "Record",
    "join",
    "read_records",
    "scale_of",
    "settle",
    "write_records",
]

Disagreeing = Literal["refuse", "first", "highest"]
COLUMNS = ("ID", "query", "url", "doc", "title", "label")


@dataclass(frozen=True, slots=True)
class Record:
    """One judged pair. `document_id` starts as the url, or the ID where there is none; see `join`."""

    id: str
    query_id: str
    query: str
    url: str
    doc: str
    title: str
    label: float
    document_id: str


def read_records(path: Path) -> list[Record]:
    """Every judged pair in file order.

    Only the columns `query` and `label`, and one of `ID`, `url` and `doc`, must be there, in any order.
    Raises DocumentError for missing columns, a label outside [0, 1], or an empty query.
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
        own = value.get("id") or f"line{number}"
        records.append(
            Record(
                own,
                query_id,
                value["query"],
                value.get("url", ""),
                value.get("doc", ""),
                value.get("title", ""),
                label,
                value.get("url") or own,
            )
        )
    refuse(problems)
    return records


def _label(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value <= 1 else None


def settle(
    records: Sequence[Record], place: str, disagreeing: Disagreeing = "refuse"
) -> tuple[list[Record], tuple[str, ...]]:
    """One label for each query and document, and notes.

    Pairs that stand twice alike are kept, as Seznam's evaluation keeps them. Labels that differ raise
    DocumentError, or are all set to the `first` or the `highest`.
    """
    labels: dict[tuple[str, str], float] = {}
    problems, repeated, differing = [], 0, 0
    for record in records:
        pair = (record.query_id, record.document_id)
        before = labels.setdefault(pair, record.label)
        if before != record.label:
            differing += 1
            problems.append(
                f"{place}: query {record.query!r}, document {record.document_id!r} is judged twice, "
                f"{before:g} and {record.label:g}; keep one, or say --disagreeing first or highest"
            )
            if disagreeing == "highest":
                labels[pair] = max(before, record.label)
        repeated += 1
    if disagreeing == "refuse":
        refuse(problems)
    repeated -= len(labels) + differing
    notes = [f"{repeated} pairs stood twice with the same label"] if repeated else []
    if differing:
        notes.append(
            f"{differing} judgments disagreed with another; the {disagreeing} label was taken"
        )
    settled = [
        replace(record, label=labels[record.query_id, record.document_id]) for record in records
    ]
    return settled, tuple(notes)


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


def join(
    records: Sequence[Record], known: Collection[str], urls: Mapping[str, str]
) -> tuple[list[Record], str]:
    """The records with the ids their documents have in an index, and which column told them.

    `known` holds the index's document ids, `urls` its documents' addresses -> ids. One column is used
    for the whole file, the one that finds most documents: `url` as an id, `ID`, or `url` as an address;
    the first of them where they tie, because numbers in `ID` may be ids by chance.
    """

    def ids(named: Callable[[Record], str]) -> list[str]:
        return [name if (name := named(record)) in known else "" for record in records]

    ways = {
        "url": ids(lambda record: record.url),
        "ID": ids(lambda record: record.id),
        "the documents' url": [urls.get(record.url, "") for record in records],
    }
    column = max(ways, key=lambda way: sum(map(bool, ways[way])))
    joined = [
        replace(record, document_id=name or record.document_id)
        for record, name in zip(records, ways[column], strict=True)
    ]
    return joined, column


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write the six columns; tabs and line ends inside a value become spaces, as in DaReCzech."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("\t".join(COLUMNS) + "\n")
        for record in records:
            cells = (record.id, record.query, record.url, record.doc, record.title)
            flat = [" ".join(cell.split()) for cell in cells]
            file.write("\t".join([*flat, f"{record.label:g}"]) + "\n")
