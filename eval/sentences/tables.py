"""Tables of text read line by line: TSV or JSON lines, plain or compressed, with every fault placed.

Knows nothing of what a column means; each measure asks for the columns it needs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from configs.errors import DocumentError
from indexer.text.compression import UNREADABLE, open_file

__all__ = ["DataFile", "Row", "data_file", "labels", "lines", "numbers", "read_rows", "stem"]

SHOWN = 3  # faults spelled out before the rest is only counted


@dataclass(frozen=True, slots=True)
class Row:
    """The columns asked for, and the line they stood on (from 1)."""

    values: tuple[str, ...]
    line: int


@dataclass(frozen=True, slots=True)
class DataFile:
    """What was measured on: enough to know the file again."""

    name: str
    sha256: str
    rows: int | None
    """Rows used; None where a row is no unit of the measure."""


def read_rows(
    path: str | Path, names: Sequence[str], columns: Sequence[str] | None = None
) -> list[Row]:
    """The rows of a TSV or JSON-lines file, `len(names)` text columns each, none of them empty.

    `names` say what the columns hold, and are the keys of a JSON-lines file (`.jsonl`, `.jsonl.gz`).
    A TSV has no header and no quoting; its first columns are taken. `columns` chooses others: numbers
    from 1, or names (JSON keys, or the names in a TSV's first line).
    Raises DocumentError that names the first faulty lines and counts the rest.
    """
    if columns is not None and len(columns) != len(names):
        raise DocumentError(
            f"--columns {','.join(columns)}: {len(names)} columns are needed: {', '.join(names)}"
        )
    is_json = ".jsonl" in Path(path).name
    chosen = list(columns) if columns is not None else list(names)
    places = [] if is_json or columns is None else _places(columns)
    places = places or list(range(len(names)))
    header = not is_json and columns is not None and not all(c.isdigit() for c in columns)
    rows: list[Row] = []
    faults: list[str] = []
    for number, line in lines(path):
        if header:
            places, header = _in_header(line, chosen, f"{path}:{number}"), False
            continue
        if not line.strip():
            continue
        cells = _json_cells(line, chosen) if is_json else _cells(line, places)
        if isinstance(cells, str):
            faults.append(f"{path}:{number}: {cells}")
        elif empty := [name for name, cell in zip(names, cells, strict=True) if not cell.strip()]:
            faults.append(f"{path}:{number}: no text in {' and '.join(empty)}")
        else:
            rows.append(Row(tuple(cell.strip() for cell in cells), number))
    if faults:
        more = f"; and {len(faults) - SHOWN} more such lines" if len(faults) > SHOWN else ""
        raise DocumentError("; ".join(faults[:SHOWN]) + more)
    if not rows:
        raise DocumentError(
            f"{path}: the file is empty; {', '.join(names)} are expected in each line"
        )
    return rows


def lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """(line number from 1, text without its line end) of a plain or compressed file in UTF-8."""
    number = 0
    try:
        with open_file(path) as file:
            for raw in file:
                number += 1
                # only the line end goes: an empty last column of a TSV is a column
                yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise DocumentError(
            f"{path}:{number}: no UTF-8 at byte {error.start}; convert the file (iconv -t UTF-8)"
        ) from error
    except UNREADABLE as error:
        raise DocumentError(f"{path}: cannot be read: {error}") from error


def numbers(path: str | Path, rows: Sequence[Row], column: int, name: str) -> list[float]:
    """A column as finite numbers. Raises DocumentError with the line of the first that is none."""
    found = []
    for row in rows:
        try:
            value = float(row.values[column])
        except ValueError:
            value = float("nan")
        if value != value or value in (float("inf"), float("-inf")):
            raise DocumentError(
                f"{path}:{row.line}: {name} must be a number, not {row.values[column]!r}; "
                f"choose the columns with --columns if they stand in another order"
            )
        found.append(value)
    return found


def labels(path: str | Path, rows: Sequence[Row], column: int) -> list[bool]:
    """A column of 0 and 1. Raises DocumentError with the line of the first other value."""
    found = []
    for row, value in zip(rows, numbers(path, rows, column, "the label"), strict=True):
        if value not in (0.0, 1.0):
            raise DocumentError(
                f"{path}:{row.line}: the label must be 0 or 1, not {row.values[column]!r}"
            )
        found.append(value == 1.0)
    return found


def data_file(path: str | Path, rows: int | None = None) -> DataFile:
    """The file's name, checksum (of its bytes on disk) and the rows used."""
    with Path(path).open("rb") as file:
        return DataFile(Path(path).name, hashlib.file_digest(file, "sha256").hexdigest(), rows)


def stem(path: str | Path) -> str:
    """A file's name without its endings: `stsb.de.test.jsonl.gz` -> `stsb.de.test`."""
    name = Path(path).name
    for ending in (".gz", ".xz", ".bz2", ".tsv", ".jsonl", ".txt", ".csv"):
        name = name.removesuffix(ending)
    return name


def _places(columns: Sequence[str]) -> list[int]:
    if not all(column.isdigit() for column in columns):
        return []
    if "0" in columns:
        raise DocumentError(f"--columns {','.join(columns)}: columns count from 1")
    return [int(column) - 1 for column in columns]


def _in_header(line: str, columns: Sequence[str], place: str) -> list[int]:
    header = line.split("\t")
    missing = [column for column in columns if column not in header]
    if missing:
        raise DocumentError(
            f"{place}: no column named {', '.join(missing)}; the first line has: {', '.join(header)}"
        )
    return [header.index(column) for column in columns]


def _cells(line: str, places: Sequence[int]) -> list[str] | str:
    """The cells at these places, or what is wrong with the line."""
    cells = line.split("\t")
    if max(places) < len(cells):
        return [cells[place] for place in places]
    looks = ""
    if line.lstrip().startswith("{"):
        looks = " (it looks like JSON lines: name the file .jsonl)"
    elif len(cells) == 1 and line.count(",") + line.count(";") >= max(places):
        looks = " (it looks like CSV: save it with tabs)"
    return f"{max(places) + 1} columns divided by tabs are needed, here are {len(cells)}{looks}"


def _json_cells(line: str, keys: Sequence[str]) -> list[str] | str:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        looks = " (it looks like TSV: name the file .tsv)" if "\t" in line else ""
        return f"no JSON: {error.msg}{looks}"
    if not isinstance(record, dict):
        return "a JSON object is needed on each line"
    missing = [key for key in keys if key not in record]
    if missing:
        return f"no {', '.join(missing)}; the line has: {', '.join(record)} (choose with --columns)"
    return [str(record[key]) for key in keys]
