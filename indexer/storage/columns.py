"""The documents' own fields by column: which documents of a segment have which values.

Written into a segment's documents.sqlite, beside what the documents say themselves: a segment without the
table (of an older version) is read from its documents. Values are text as it was given, each item of a
list a value of its own; a long value stands as its hash, so that it can be compared and no more. Knows
nothing of kinds.
"""

from __future__ import annotations

import array
import hashlib
import itertools
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Column",
    "ColumnWriter",
    "column_names",
    "is_hashed",
    "joined",
    "read_columns",
    "stored",
    "values_of",
    "write_columns",
]

_SCHEMA = """
CREATE TABLE columns (
    name TEXT PRIMARY KEY, documents BLOB NOT NULL, codes BLOB NOT NULL, texts BLOB NOT NULL, ends BLOB NOT NULL
)
"""
_LONGEST = 200  # characters of a value that is kept as it is
_HASHED = "\0"  # begins a hash: no value that a person typed does


def values_of(text: str) -> list[str]:
    """The values of a field: those of a JSON list, else the text itself."""
    if text.startswith("["):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            return [text]
        if isinstance(found, list) and found and not any(isinstance(v, list | dict) for v in found):
            return [v if isinstance(v, str) else json.dumps(v) for v in found]
    return [text]


def is_hashed(value: str) -> bool:
    """Whether a column's value is the hash of a long one."""
    return value.startswith(_HASHED)


def stored(value: str) -> str:
    """A value as columns hold it."""
    if len(value) <= _LONGEST:
        return value
    digest = hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return _HASHED + digest


@dataclass(frozen=True, slots=True)
class Column:
    """One field: a (document, value) pair a place; in a segment ascending by document."""

    documents: NDArray[np.int32]
    codes: NDArray[np.int32]
    """Places in `values`."""
    values: Sequence[str]
    """Each different value once."""


def joined(columns: Sequence[Column]) -> Column:
    """Several columns as one, in this order: those of documents that follow one another stay ascending."""
    if len(columns) == 1:
        return columns[0]
    values: dict[str, int] = {}
    codes = [np.zeros(0, np.int32)]
    for column in columns:
        new = [values.setdefault(value, len(values)) for value in column.values]
        codes.append(np.array(new, np.int32)[column.codes])
    documents = [np.zeros(0, np.int32), *(column.documents for column in columns)]
    return Column(np.concatenate(documents), np.concatenate(codes), list(values))


class ColumnWriter:
    """Fields of documents as they come, in the order of their numbers."""

    def __init__(self) -> None:
        self._columns: dict[str, tuple[array.array[int], array.array[int], dict[str, int]]] = {}

    def add(self, document: int, fields: Mapping[str, str]) -> None:
        for name, text in fields.items():
            for value in dict.fromkeys(map(stored, values_of(text))):
                self._add(name, document, value)

    def _add(self, name: str, document: int, value: str) -> None:
        if name not in self._columns:
            self._columns[name] = array.array("i"), array.array("i"), {}
        documents, codes, values = self._columns[name]
        documents.append(document)
        codes.append(values.setdefault(value, len(values)))

    def columns(self) -> dict[str, Column]:
        return {
            name: Column(np.array(documents, np.int32), np.array(codes, np.int32), list(values))
            for name, (documents, codes, values) in self._columns.items()
        }

    def write(self, database: sqlite3.Connection) -> None:
        write_columns(database, self.columns())


def write_columns(database: sqlite3.Connection, columns: Mapping[str, Column]) -> None:
    """The table of a segment, in place of any that it has."""
    database.execute("DROP TABLE IF EXISTS columns")
    database.execute(_SCHEMA)
    for name, column in columns.items():
        texts = [value.encode("utf-8", "surrogatepass") for value in column.values]
        ends = np.cumsum([len(text) for text in texts], dtype="<i8")
        blobs = (column.documents.astype("<i4"), column.codes.astype("<i4"))
        database.execute(
            "INSERT INTO columns VALUES (?, ?, ?, ?, ?)",
            (name, *(blob.tobytes() for blob in blobs), b"".join(texts), ends.tobytes()),
        )


def column_names(database: sqlite3.Connection) -> list[str]:
    """The fields that documents of a segment have. sqlite3.Error or ValueError when it is damaged."""
    if not _has_table(database):
        return list(_derived(database, None))
    return [name for (name,) in database.execute("SELECT name FROM columns")]


def read_columns(
    database: sqlite3.Connection, documents: int, names: Iterable[str] | None = None
) -> dict[str, Column]:
    """The columns of a segment of so many documents; those of `names` alone, where it has them.

    sqlite3.Error or ValueError when it is damaged.
    """
    if not _has_table(database):
        return _derived(database, names)
    found = {}
    for name in column_names(database) if names is None else names:
        rows = database.execute(
            "SELECT documents, codes, texts, ends FROM columns WHERE name = ?", (name,)
        ).fetchall()
        if rows:
            found[name] = _column(name, documents, *rows[0])
    return found


def _has_table(database: sqlite3.Connection) -> bool:
    """A view of that name would be a program: it is refused."""
    kinds = database.execute("SELECT type FROM sqlite_master WHERE name = 'columns'").fetchall()
    if kinds not in ([], [("table",)]):
        raise ValueError("its columns are no table")
    return bool(kinds)


def _column(name: str, documents: int, numbers: Any, codes: Any, texts: Any, ends: Any) -> Column:
    if not all(isinstance(blob, bytes) for blob in (numbers, codes, texts, ends)):
        raise ValueError(f"the column {name!r} is not as it was written")
    of = np.frombuffer(numbers, "<i4").astype(np.int32)
    code = np.frombuffer(codes, "<i4").astype(np.int32)
    borders = [0, *np.frombuffer(ends, "<i8").tolist()]
    in_order = bool((np.diff(of) >= 0).all()) and (
        not len(of) or (of[0] >= 0 and of[-1] < documents)
    )
    known = not len(code) or 0 <= code.min() <= code.max() < len(borders) - 1
    cut = borders == sorted(borders) and borders[-1] == len(texts)
    if len(of) != len(code) or not in_order or not known or not cut:
        raise ValueError(f"the column {name!r} names documents or values that are not there")
    pairs = itertools.pairwise(borders)
    return Column(of, code, [texts[a:b].decode("utf-8", "surrogatepass") for a, b in pairs])


def _derived(database: sqlite3.Connection, names: Iterable[str] | None) -> dict[str, Column]:
    """The columns as the documents themselves say."""
    wanted = None if names is None else set(names)
    writer = ColumnWriter()
    for number, fields in _fields(database):
        if wanted is not None:
            fields = {name: text for name, text in fields.items() if name in wanted}
        writer.add(number, fields)
    return writer.columns()


def _fields(database: sqlite3.Connection) -> Iterator[tuple[int, dict[str, str]]]:
    rows = database.execute(
        "SELECT number, fields FROM documents WHERE fields != '' ORDER BY number"
    )
    for number, text in rows:
        found = json.loads(text)
        if isinstance(found, dict):
            yield number, {str(name): str(value) for name, value in found.items()}
