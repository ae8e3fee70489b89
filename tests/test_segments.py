"""Segments: what one holds, how several read as one, and how small ones become few."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from configs.errors import IndexFolderError
from indexer.encoders.hash_encoder import HashEncoder
from indexer.schema import Document, Where
from indexer.search.filters import RowFilters
from indexer.search.lexical import LexicalIndex, LexicalWriter
from indexer.search.query import prepared
from indexer.storage.manifest import SegmentEntry
from indexer.storage.segments import merge_tail
from indexer.storage.store import PASSAGE, SegmentWriter, Store, content_hash
from indexer.text.analysis import Analysis

DIM = 2
Spans = list[tuple[int, int]]


def write(folder: Path, items: list[tuple[Document, Spans]], first: float) -> SegmentEntry:
    """A segment whose vectors are (first, 0), (first + 1, 0), ..."""
    folder.mkdir()
    writer = SegmentWriter.create(folder)
    writer.add([(item, content_hash(item), spans) for item, spans in items])
    writer.finish()
    vectors = np.zeros((writer.passages, DIM), np.float32)
    vectors[:, 0] = np.arange(writer.passages) + first
    (folder / "vectors.f32").write_bytes(vectors.tobytes())
    return SegmentEntry(folder.name, writer.documents, writer.passages)


def named(id_: str, lang: str = "en", **fields: str) -> Document:
    return Document(id_, f"text of {id_}", f"title of {id_}", "http://x", lang, fields)


@pytest.fixture
def entries(tmp_path: Path) -> list[SegmentEntry]:
    """Documents a (rows 0, 1), b (row 2) in the first; c (row 3), a again (rows 4, 5) in the second."""
    return [
        write(
            tmp_path / "segment-1",
            [(named("a"), [(0, 4), (5, 9)]), (named("b", "cs", kind="x"), [(0, 9)])],
            0.0,
        ),
        write(
            tmp_path / "segment-2",
            [(named("c", kind="x"), [(0, 9)]), (named("a", "de"), [(0, 4), (5, 9)])],
            3.0,
        ),
    ]


def opened(path: Path, entries: list[SegmentEntry], deleted: list[int]) -> Store:
    marks = np.zeros(sum(entry.passages for entry in entries), bool)
    marks[deleted] = True
    counts = [(entry.documents, entry.passages) for entry in entries]
    return Store.open([path / entry.folder for entry in entries], counts, DIM, marks)


def rows_with(store: Store, name: str, value: str) -> list[int]:
    allowed = RowFilters(store).allowed(Where(fields={name: value}))
    assert allowed is not None
    rows: list[int] = allowed.rows.tolist()
    return rows


def seen(store: Store) -> object:
    """All that a store tells of its documents, passages and vectors."""
    rows = np.arange(len(store))
    return (
        [(d.id, d.lang, row, count) for d, _, row, count in store.live()],
        store.find(["a", "b", "c"]),
        store.documents_of(rows).tolist(),
        store.passages["lang"].tolist(),
        store.passages["start"].tolist(),
        store.take(rows)[:, 0].tolist(),
        rows_with(store, "kind", "x"),
        store.documents(range(4)),
    )


def test_segments_read_as_one_numbering_of_rows_and_documents(
    tmp_path: Path, entries: list[SegmentEntry]
) -> None:
    store = opened(tmp_path, entries, [0, 1])  # the first a was replaced
    assert len(store) == 6
    assert store.documents_of(np.arange(6)).tolist() == [0, 0, 1, 2, 3, 3]
    assert store.ids([0, 1, 2, 3]) == {0: "a", 1: "b", 2: "c", 3: "a"}
    found = store.find(["a", "b", "nobody"])
    assert found["a"][:3] == (3, 4, 2)  # document, first row, passages
    assert found["b"][:3] == (1, 2, 1)
    assert set(found) == {"a", "b"}
    assert [(d.id, row) for d, _, row, _ in store.live()] == [("b", 2), ("c", 3), ("a", 4)]
    assert store.take(np.array([5, 0, 3]))[:, 0].tolist() == [5.0, 0.0, 3.0]
    assert rows_with(store, "kind", "x") == [2, 3]
    assert store.documents([1])[1] == named("b", "cs", kind="x")
    store.close()


def test_merged_segments_are_read_like_the_ones_they_were(
    tmp_path: Path, entries: list[SegmentEntry]
) -> None:
    before = opened(tmp_path, entries, [0, 1])
    merged = merge_tail(tmp_path, entries, DIM, 2)
    assert merged == [SegmentEntry("merged-2", 4, 6)]
    after = opened(tmp_path, merged, [0, 1])
    assert seen(after) == seen(before)
    before.close()
    after.close()


def test_the_segments_that_are_merged_are_those_no_larger_than_what_follows(
    tmp_path: Path,
) -> None:
    def sized(number: int, passages: int) -> SegmentEntry:
        spans = [(0, 1)] * passages
        return write(tmp_path / f"segment-{number}", [(named(f"d{number}"), spans)], 0.0)

    # 8 stays: it is larger than 2 + 1 + 1 = 4; 2 goes: it is no larger than 1 + 1.
    entries = [sized(1, 8), sized(2, 2), sized(3, 1), sized(4, 1)]
    assert merge_tail(tmp_path, entries, DIM, 4) == [entries[0], SegmentEntry("merged-4", 3, 4)]
    # 3 stays, larger than the 1 that follows: nothing to merge, nothing is copied.
    assert merge_tail(tmp_path, [sized(5, 3), sized(6, 1)], DIM, 6)[1].folder == "segment-6"
    assert not (tmp_path / "merged-6").exists()
    assert merge_tail(tmp_path, [], DIM, 7) == []


def test_a_hash_changes_with_everything_a_person_gave() -> None:
    base = Document("i", "text", "title", "url", "en", {"a": "1"})
    others = [
        Document("j", "text", "title", "url", "en", {"a": "1"}),
        Document("i", "texts", "title", "url", "en", {"a": "1"}),
        Document("i", "text", "titles", "url", "en", {"a": "1"}),
        Document("i", "text", "title", "urls", "en", {"a": "1"}),
        Document("i", "text", "title", "url", "cs", {"a": "1"}),
        Document("i", "text", "title", "url", "en", {"a": "2"}),
        Document("i", "text", "title", "url", "en", {}),
    ]
    hashes = {content_hash(item) for item in [base, *others]}
    assert len(hashes) == 8
    assert content_hash(Document("i", "text", "title", "url", "en", {"a": "1"})) in hashes


def test_a_store_refuses_files_that_do_not_agree(
    tmp_path: Path, entries: list[SegmentEntry]
) -> None:
    folders = [tmp_path / entry.folder for entry in entries]
    right = [(2, 3), (2, 3)]
    for counts, dim, marks, message in [
        ([(2, 3), (2, 4)], DIM, 7, r"segment-2/passages.npy: an array \(3,\)"),
        ([(2, 3), (3, 3)], DIM, 6, "segment-2/passages.npy is not of 3 documents"),
        (right, DIM, 5, "the deletion marks are for 5 passages, but there are 6"),
        (right, 10**12, 6, "greater than file size|mmap|cannot allocate"),
    ]:
        with pytest.raises((ValueError, IndexFolderError, OSError), match=message):
            Store.open(folders, counts, dim, np.zeros(marks, bool))
    np.save(folders[1] / "passages.npy", np.zeros(3, PASSAGE.descr[:2]), allow_pickle=False)
    with pytest.raises(ValueError, match="is expected"):
        Store.open(folders, right, DIM, np.zeros(6, bool))


def test_a_database_that_breaks_under_a_reader_is_named_as_damage(
    tmp_path: Path, entries: list[SegmentEntry]
) -> None:
    store = opened(tmp_path, entries, [])
    file = tmp_path / "segment-2" / "documents.sqlite"
    with file.open("r+b") as damaged:  # the same file, under the open connection
        damaged.seek(100)
        damaged.write(b"\xff" * (file.stat().st_size - 100))
    with pytest.raises(IndexFolderError, match="damaged: segment 2 of 2"):
        list(store.live())
    store.close()


def test_the_connections_of_a_store_are_closed_with_it(
    tmp_path: Path, entries: list[SegmentEntry]
) -> None:
    store = opened(tmp_path, entries, [])
    databases = list(store.databases)
    del store
    for database in databases:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            database.execute("SELECT 1")


def test_the_words_of_a_build_are_one_segment(tmp_path: Path) -> None:
    writer = LexicalWriter.create(tmp_path / "words")  # each thread would leave one of its own
    for row in range(2000):
        writer.add(row, str(row), "en", Analysis(f"word w{row}", f"word w{row}"))
    writer.finish()
    index = LexicalIndex.open(tmp_path / "words")
    assert len(index) == 2000 and len(list((tmp_path / "words").glob("*.idx"))) == 1
    query = prepared(["w7"], HashEncoder(), ["en"])[0]
    assert index.search(query, 3).keys.tolist() == [7]
