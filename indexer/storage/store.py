"""A segment of an index: the documents, passages and vectors that one commit added.

    documents.sqlite   one row a document; written once, then read-only
    passages.npy       one record a passage, in row order (PASSAGE)
    vectors.f32        one float32 vector a passage, in the same order
    tokens.bin, token_offsets.npy   the tokens of each passage (indexer.storage.passage_tokens), where words are aligned

A segment never changes. Rows count through all segments of an index; `Store` is that view of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import threading
import weakref
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from configs.errors import IndexFolderError
from indexer.schema import Document, Matrix
from indexer.storage.arrays import load_array
from indexer.storage.columns import Column, ColumnWriter, column_names, joined, read_columns
from indexer.storage.passage_tokens import TokenSets, TokenWriter

T = TypeVar("T")

__all__ = [
    "PASSAGE",
    "LiveDocument",
    "SegmentWriter",
    "Store",
    "StoredDocument",
    "content_hash",
    "document_of",
    "open_database",
]

PASSAGE = np.dtype(
    [("document", "<i4"), ("number", "<i4"), ("start", "<i4"), ("end", "<i4"), ("lang", "S3")]
)
"""`document` counts from 0 in its segment; `start` and `end` are characters of the document's text."""

_SCHEMA = """
CREATE TABLE documents (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL, title TEXT NOT NULL, text TEXT NOT NULL,
    url TEXT NOT NULL, lang TEXT NOT NULL, fields TEXT NOT NULL, hash BLOB NOT NULL,
    row INTEGER NOT NULL, passages INTEGER NOT NULL
);
"""
_COLUMNS = "id, text, title, url, lang, fields"


def content_hash(document: Document) -> bytes:
    """16 bytes that change when anything a person gave changes."""
    parts = [document.id, document.title, document.text, document.url, document.lang]
    if document.fields:
        parts.append(json.dumps(dict(document.fields), sort_keys=True, ensure_ascii=False))
    joined = "\0".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(joined, digest_size=16).digest()


def open_database(path: Path) -> sqlite3.Connection:
    """A segment's documents, read-only; SQLite is told that the file cannot change.

    The file may come from anywhere: nothing in its schema is run. Raises sqlite3.Error when it is none.
    """
    uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    database = sqlite3.connect(uri, uri=True, check_same_thread=False)
    try:
        database.execute("PRAGMA trusted_schema = OFF")
        kinds = database.execute("SELECT type FROM sqlite_master WHERE name = 'documents'")
        if kinds.fetchall() != [("table",)]:  # a view would be a program
            raise sqlite3.DatabaseError(f"{path.parent.name}/{path.name} has no table of documents")
    except UnicodeDecodeError as error:  # SQLite's message quotes the bytes that it tripped over
        database.close()
        raise sqlite3.DatabaseError(f"{path.parent.name}/{path.name}: a damaged schema") from error
    except sqlite3.Error:
        database.close()
        raise
    return database


class StoredDocument(NamedTuple):
    """Where a document stands: its number, its first row, how many passages follow, its content hash."""

    number: int
    row: int
    passages: int
    hash: bytes


class LiveDocument(NamedTuple):
    """A document with its content hash, its first row and how many passages it has."""

    document: Document
    hash: bytes
    row: int
    passages: int


class SegmentWriter:
    """Documents and passages of a segment as they come; `finish` makes them a closed file each."""

    def __init__(
        self, folder: Path, database: sqlite3.Connection, tokens: TokenWriter | None = None
    ) -> None:
        self.folder = folder
        self._tokens = tokens
        self.documents = 0
        self.passages = 0
        self._blocks: list[NDArray[Any]] = []
        self._columns = ColumnWriter()
        self._database = database

    @classmethod
    def create(cls, folder: Path, aligned: bool = False) -> SegmentWriter:
        """Begin a segment in `folder`, which is there and empty. `aligned`: the passages' tokens are kept too."""
        database = sqlite3.connect(folder / "documents.sqlite", isolation_level=None)
        # Nothing of an unfinished segment is ever read again, so SQLite need not guard it.
        database.executescript(
            f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA page_size=8192; {_SCHEMA}"
        )
        database.execute("BEGIN")
        return cls(folder, database, TokenWriter(folder) if aligned else None)

    def add(
        self,
        documents: Sequence[tuple[Document, bytes, Sequence[tuple[int, int]]]],
        tokens: TokenSets | None = None,
    ) -> None:
        """(document, content hash, passage spans) each; rows follow one another. `tokens`: of the passages."""
        if self._tokens is not None:
            assert tokens is not None
            self._tokens.add(tokens)
        rows, records = [], []
        for document, digest, spans in documents:
            fields = (
                json.dumps(dict(document.fields), ensure_ascii=False) if document.fields else ""
            )
            rows.append(
                (
                    self.documents,
                    document.id,
                    document.title,
                    document.text,
                    document.url,
                    document.lang,
                    fields,
                    digest,
                    self.passages,
                    len(spans),
                )
            )
            lang = document.lang.encode()
            records += [(self.documents, n, a, b, lang) for n, (a, b) in enumerate(spans)]
            self._columns.add(self.documents, document.fields)
            self.documents += 1
            self.passages += len(spans)
        self._database.executemany("INSERT INTO documents VALUES (?,?,?,?,?,?,?,?,?,?)", rows)
        self._blocks.append(np.array(records, dtype=PASSAGE))

    @property
    def columns(self) -> dict[str, Column]:
        """The fields of its documents so far."""
        return self._columns.columns()

    def finish(self) -> None:
        self._columns.write(self._database)
        self._database.execute("CREATE INDEX by_id ON documents (id)")
        self._database.execute("COMMIT")
        self._database.close()
        passages = np.concatenate(self._blocks) if self._blocks else np.zeros(0, PASSAGE)
        np.save(self.folder / "passages.npy", passages, allow_pickle=False)
        if self._tokens is not None:
            self._tokens.finish()

    def abandon(self) -> None:
        self._database.close()
        if self._tokens is not None:
            self._tokens.abandon()


class Store:
    """Every segment of one commit, as one numbering of rows and documents. `deleted` marks rows.

    Safe to use from several threads. IndexFolderError when a segment turns out to be damaged.
    """

    def __init__(
        self,
        passages: NDArray[Any],
        vectors: Sequence[NDArray[np.float32]],
        databases: list[sqlite3.Connection],
        counts: Sequence[tuple[int, int]],
        dim: int,
        deleted: NDArray[np.bool_],
    ) -> None:
        """`vectors`, `databases` and `counts` of each segment; `passages` (PASSAGE) of all of them."""
        self.dim = dim
        self.deleted = deleted
        self.passages = passages
        self.vectors = list(vectors)
        self.row_bases = np.cumsum([0, *(rows for _, rows in counts)])  # (segments + 1,)
        self.document_bases = np.cumsum([0, *(documents for documents, _ in counts)])
        self.databases = databases
        self._closing = weakref.finalize(self, _close, databases)
        self._lock = threading.Lock()
        self._fields: dict[str, Column] = {}
        self._spellings: dict[str, list[str]] | None = None

    @classmethod
    def open(
        cls,
        folders: Sequence[Path],
        counts: Sequence[tuple[int, int]],
        dim: int,
        deleted: NDArray[np.bool_],
    ) -> Store:
        """Open segments. `counts`: documents and passages of each, as the manifest has them.

        Raises ValueError or IndexFolderError where these do not agree, sqlite3.Error for what is no database.
        """
        blocks = [
            load_array(folder / "passages.npy", PASSAGE, rows)
            for folder, (_, rows) in zip(folders, counts, strict=True)
        ]
        for folder, block, (documents, _) in zip(folders, blocks, counts, strict=True):
            if len(block) and int(block["document"][-1]) + 1 != documents:
                raise ValueError(f"{folder.name}/passages.npy is not of {documents:,} documents")
        vectors = [
            np.memmap(folder / "vectors.f32", np.float32, "r", shape=(rows, dim))
            if rows
            else np.zeros((0, dim), np.float32)
            for folder, (_, rows) in zip(folders, counts, strict=True)
        ]
        passages = _numbered_through(blocks, [documents for documents, _ in counts])
        if len(deleted) != len(passages):
            raise IndexFolderError(
                f"the deletion marks are for {len(deleted)} passages, but there are {len(passages)}"
            )
        databases = [open_database(folder / "documents.sqlite") for folder in folders]
        return cls(passages, vectors, databases, counts, dim, deleted)

    def close(self) -> None:
        self._closing()

    def _rows(self, segment: int, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query; one at a time uses a connection, whatever this SQLite was built for."""
        try:
            with self._lock:
                return self.databases[segment].execute(query, values).fetchall()
        except sqlite3.DatabaseError as error:
            if "closed database" in str(error):
                raise IndexFolderError("the index is closed; open it again") from error
            raise _damaged(f"segment {segment + 1} of {len(self.databases)}: {error}") from error

    def __len__(self) -> int:
        return len(self.passages)

    def take(self, rows: NDArray[np.int64]) -> Matrix:
        """The vectors of these rows, (len(rows), dim)."""
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(self):
            raise _damaged(f"row {rows.max()} of {len(self)} was asked for")
        if len(self.vectors) == 1:
            return np.take(np.asarray(self.vectors[0]), rows, axis=0)
        out = np.empty((len(rows), self.dim), np.float32)
        segment = np.searchsorted(self.row_bases, rows, side="right") - 1
        for s in np.unique(segment):
            mine = segment == s
            out[mine] = self.vectors[s][rows[mine] - self.row_bases[s]]
        return out

    def documents_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The number of each row's document."""
        try:
            return np.asarray(self.passages["document"][rows], dtype=np.int64)
        except IndexError as error:
            raise _damaged(str(error)) from error

    def _segment(self, number: int) -> int:
        return int(np.searchsorted(self.document_bases, number, side="right")) - 1

    def _by_segment(self, numbers: Iterable[int]) -> dict[int, list[int]]:
        grouped: dict[int, list[int]] = {}
        end = int(self.document_bases[-1])
        for number in numbers:
            if not 0 <= number < end:
                raise _damaged(f"document {number} of {end} was asked for")
            segment = self._segment(number) if len(self.databases) > 1 else 0
            grouped.setdefault(segment, []).append(number)
        return grouped

    def _select(
        self, columns: str, numbers: Iterable[int]
    ) -> Iterator[tuple[int, tuple[Any, ...]]]:
        for segment, mine in self._by_segment(numbers).items():
            base = int(self.document_bases[segment])
            for start in range(0, len(mine), 500):
                chunk = [number - base for number in mine[start : start + 500]]
                marks = ",".join("?" * len(chunk))
                query = f"SELECT number, {columns} FROM documents WHERE number IN ({marks})"
                for number, *values in self._rows(segment, query, chunk):
                    yield base + number, tuple(values)

    def ids(self, numbers: Collection[int]) -> dict[int, str]:
        return _all(numbers, {n: values[0] for n, values in self._select("id", numbers)})

    def documents(self, numbers: Collection[int]) -> dict[int, Document]:
        found = {n: document_of(values) for n, values in self._select(_COLUMNS, numbers)}
        return _all(numbers, found)

    def find(self, ids: Sequence[str]) -> dict[str, StoredDocument]:
        """Where each live document among `ids` stands."""
        found: dict[str, StoredDocument] = {}
        for segment in range(len(self.databases)):
            base, row_base = int(self.document_bases[segment]), int(self.row_bases[segment])
            for start in range(0, len(ids), 500):
                chunk = ids[start : start + 500]
                marks = ",".join("?" * len(chunk))
                query = (
                    f"SELECT id, number, row, passages, hash FROM documents WHERE id IN ({marks})"
                )
                for id_, number, row, count, digest in self._rows(segment, query, chunk):
                    if not self.deleted[row_base + row]:
                        found[id_] = StoredDocument(base + number, row_base + row, count, digest)
        return found

    def live(self) -> Iterator[LiveDocument]:
        """Every document that is not deleted, in order."""
        for segment, documents in enumerate(np.diff(self.document_bases).tolist()):
            row_base = int(self.row_bases[segment])
            query = (
                f"SELECT {_COLUMNS}, hash, row, passages FROM documents "
                "WHERE number >= ? AND number < ? ORDER BY number"
            )
            for start in range(0, documents, 1000):
                for *values, digest, row, count in self._rows(
                    segment, query, (start, start + 1000)
                ):
                    if not self.deleted[row_base + row]:
                        document = document_of(tuple(values))
                        yield LiveDocument(document, digest, row_base + row, count)

    # -- the documents' own fields -------------------------------------------------------------

    def fields(self) -> list[str]:
        """The fields that documents have, sorted; deleted ones count until `compact`.

        Names that differ in case alone are one field, by the first spelling.
        """
        return sorted(spellings[0] for spellings in self.spellings().values())

    def spellings(self) -> dict[str, list[str]]:
        """Casefolded name of a field -> how documents write it, sorted."""
        with self._lock:
            known = self._spellings
        if known is None:
            names = {name for s in range(len(self.databases)) for name in self._names(s)}
            known = {}
            for name in sorted(names):
                known.setdefault(name.casefold(), []).append(name)
            self._spellings = known
        return known

    def _names(self, segment: int) -> list[str]:
        with self._reading(segment) as database:
            return column_names(database)

    def column(self, name: str) -> Column:
        """One field of every document, whatever the case of its name; kept once it was read.

        Empty where nobody has it.
        """
        name = name.casefold()
        with self._lock:
            if name in self._fields:
                return self._fields[name]
        spellings = self.spellings().get(name, [])
        counts = np.diff(self.document_bases).tolist()
        parts: list[Column] = []
        for segment, documents in enumerate(counts):
            with self._reading(segment) as database:
                found = read_columns(database, documents, spellings)
            base = np.int32(self.document_bases[segment])
            parts += [Column(c.documents + base, c.codes, c.values) for c in found.values()]
        column = joined(parts)
        with self._lock:
            self._fields[name] = column
        return column

    @contextlib.contextmanager
    def _reading(self, segment: int) -> Iterator[sqlite3.Connection]:
        try:
            with self._lock:
                yield self.databases[segment]
        except (sqlite3.DatabaseError, ValueError) as error:
            if "closed database" in str(error):
                raise IndexFolderError("the index is closed; open it again") from error
            raise _damaged(f"segment {segment + 1} of {len(self.databases)}: {error}") from error

    def rows_of(self, documents: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A mark on each row whose document is marked."""
        return np.asarray(documents[self.passages["document"]])


def _numbered_through(blocks: Sequence[NDArray[Any]], documents: Sequence[int]) -> NDArray[Any]:
    """The passages of all segments, their documents counted through all of them."""
    if len(blocks) == 1:
        return blocks[0]  # as it lies on the disk, mapped
    passages = np.concatenate(blocks) if blocks else np.zeros(0, PASSAGE)
    bases = np.cumsum([0, *documents])[:-1]
    passages["document"] += np.repeat(bases, [len(block) for block in blocks]).astype(np.int32)
    return passages


def _all(numbers: Collection[int], found: dict[int, T]) -> dict[int, T]:
    for number in numbers:
        entry = found.get(number)
        if entry is None or not isinstance(getattr(entry, "id", entry), str):
            raise _damaged(f"document {number} is not in its segment, or not as it was written")
    return found


def _damaged(what: str) -> IndexFolderError:
    return IndexFolderError(f"the index is damaged: {what}; see: tandem index verify")


def _close(databases: Sequence[sqlite3.Connection]) -> None:
    for database in databases:
        database.close()


def document_of(values: tuple[Any, ...]) -> Document:
    """A document from id, text, title, url, lang and fields as they stand in the database."""
    id_, text, title, url, lang, fields = values
    return Document(id_, text, title, url, lang, json.loads(fields) if fields else {})
