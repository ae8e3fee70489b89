"""CSV and TSV files, as spreadsheets and programs write them, to records by column name.

The separator is found from the header and the first rows: comma, semicolon, tab or bar, or what a line
`sep=;` says. (The standard library's Sniffer takes letters for separators.) Knows nothing of documents but
which names of columns are usual.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from indexer.text.records import ID_NAMES, TEXT_NAMES, TITLE_NAMES, plain
from indexer.text.rejects import OnReject, Reject

__all__ = ["DARECZECH", "Row", "Table", "open_table"]

DARECZECH = {"query", "url", "doc", "title", "label"}
"""The columns that make a TSV one of DaReCzech's."""

_SAMPLE = 50  # lines that the separator is found from
_SEPARATORS = ",;\t|"
_NO_SEPARATOR = "\x1f"  # of a table with one column: a comma is then text
_SEP_LINE = re.compile(r"\"?sep=(.)\"?\s*$", re.IGNORECASE)
_END = 0  # stands for a line after the last one
_MAX_CELL = 40_000_000  # characters; the standard limit, 128 KiB, is smaller than many documents
_KNOWN = {*ID_NAMES, *TEXT_NAMES, *TITLE_NAMES, "url", "lang", "language"}

NumberedLines = Iterator[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Row:
    """One row: where it begins (`file:line`), its number from 1, and its cells by column."""

    place: str
    number: int
    cells: dict[str, str]


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose header was read. `line` is the header's."""

    names: list[str]
    line: int
    rows: Iterator[Row]


def open_table(lines: NumberedLines, place: str, kind: str, on_reject: OnReject) -> Table | None:
    """A table of numbered lines; `kind` is .csv or .tsv. None, and a reject, when it has no header.

    In a TSV quotes are text. A row with another number of columns than the header is rejected.
    """
    sample = list(itertools.islice(lines, _SAMPLE))
    while sample and not sample[0][1].strip():
        sample.pop(0)
    if not sample:
        on_reject(Reject(place, "the table is empty"))
        return None
    separator = None
    if said := _SEP_LINE.match(sample[0][1]):
        separator = said[1]
        sample.pop(0)
    texts = [text for _, text in sample]
    tabbed = kind == ".tsv" and bool(texts) and "\t" in texts[0]
    separator = "\t" if tabbed else separator or _separator(texts)
    quoting: Literal[0, 3] = csv.QUOTE_NONE if tabbed else csv.QUOTE_MINIMAL
    csv.field_size_limit(_MAX_CELL)
    taken: list[int] = []  # lines that the csv module has read since the last row

    def numbered() -> Iterator[str]:
        for number, text in itertools.chain(sample, lines):
            taken.append(number)
            # without quotes a carriage return can only be a blank
            yield text.rstrip("\r\n").replace("\r", " ") if tabbed else text
        taken.append(_END)

    rows = csv.reader(numbered(), delimiter=separator, quoting=quoting, skipinitialspace=not tabbed)
    try:
        header = next((row for row in rows if row), [])
    except csv.Error as error:
        on_reject(Reject(f"{place}:{taken[0]}", f"the header cannot be read: {error}"))
        return None
    if not header:
        on_reject(Reject(place, "the table is empty"))
        return None
    names = _distinct(header)
    return Table(names, taken[-1], _rows(rows, names, separator, place, kind, taken, on_reject))


def _separator(texts: Sequence[str]) -> str:
    """The separator with which the header has most names that are known, and the rows are most even."""
    best, found = (0, 0.0, 0), _NO_SEPARATOR
    for separator in _SEPARATORS:
        try:
            rows = [r for r in csv.reader(texts, delimiter=separator, skipinitialspace=True) if r]
        except csv.Error:  # a quote left open: the header alone
            rows = [r for r in csv.reader(texts[:1], delimiter=separator) if r]
        if not rows or len(rows[0]) < 2:
            continue
        known = sum(plain(name) in _KNOWN for name in rows[0])
        even = sum(len(row) == len(rows[0]) for row in rows) / len(rows)
        if (known, even, len(rows[0])) > best:
            best, found = (known, even, len(rows[0])), separator
    return found


def _distinct(header: Sequence[str]) -> list[str]:
    """Names without spaces around them; one that is missing or stands twice gets a number."""
    names: list[str] = []
    for place, cell in enumerate(header, 1):
        name = cell.strip().removeprefix("\ufeff").strip() or f"column {place}"
        while name in names:
            name = f"{name} ({place})"
        names.append(name)
    return names


def _rows(
    rows: Iterator[list[str]],
    names: Sequence[str],
    separator: str,
    place: str,
    kind: str,
    taken: list[int],
    on_reject: OnReject,
) -> Iterator[Row]:
    count = 0  # of rows that are not empty
    while True:
        taken.clear()
        try:
            row = next(rows, None)
        except csv.Error as error:
            at = f"{place}:{taken[0] if taken else 1}"
            on_reject(Reject(at, f"no {kind[1:].upper()}: {_plainly(error)}"))
            count += 1
            continue
        if row is None:
            return
        if not any(row):
            continue
        count += 1
        at = f"{place}:{taken[0]}"  # where the row begins: a quote left open swallows many lines
        if taken[-1] == _END:  # which the csv module takes for the end of the cell
            reason = f"a quote is left open: the row goes on to line {taken[-2]}, the last"
            on_reject(Reject(at, reason, separator.join(row)))
            continue
        if len(row) > len(names) and not any(cell.strip() for cell in row[len(names) :]):
            row = row[: len(names)]  # spreadsheets write empty cells to the right
        if len(row) != len(names):
            columns = f"{len(row)} columns; the header has {len(names)}"
            if len(taken) > 1:
                columns += f" (the row goes on to line {taken[-1]}: is a quote left open?)"
            on_reject(Reject(at, columns, separator.join(row)))
            continue
        yield Row(at, count, dict(zip(names, row, strict=True)))


def _plainly(error: csv.Error) -> str:
    if "new-line character" in str(error):
        return "a carriage return within a cell without quotes; save it with line ends of one kind"
    return str(error)
