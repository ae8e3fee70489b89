"""Putting neighbouring segments together, so that many small additions do not leave many segments.

Rows and documents keep their numbers, deleted ones included: nothing that counts rows has to change.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from indexer.storage.columns import Column, joined, read_columns, write_columns
from indexer.storage.manifest import SegmentEntry
from indexer.storage.passage_tokens import merge_tokens
from indexer.storage.store import PASSAGE

__all__ = ["merge_tail"]


def merge_tail(
    path: Path, segments: Sequence[SegmentEntry], dim: int, generation: int, tokens: bool = False
) -> list[SegmentEntry]:
    """`segments`, with the newest and those before it that are no larger than what follows them as one.

    As in a binary counter, n additions leave about log2(n) segments, and a passage is copied as often.
    `tokens`: whether every segment holds the tokens of its passages.
    """
    first = len(segments) - 1
    total = segments[-1].passages if segments else 0
    while first > 0 and segments[first - 1].passages <= total:
        first -= 1
        total += segments[first].passages
    if first >= len(segments) - 1:
        return list(segments)
    merged = _merge(path, segments[first:], dim, path / f"merged-{generation}", tokens)
    return [*segments[:first], merged]


def _merge(
    path: Path, segments: Sequence[SegmentEntry], dim: int, target: Path, tokens: bool
) -> SegmentEntry:
    target.mkdir()
    folders = [path / segment.folder for segment in segments]
    shutil.copyfile(folders[0] / "documents.sqlite", target / "documents.sqlite")
    database = sqlite3.connect(target / "documents.sqlite", isolation_level=None)
    database.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF")
    database.execute("BEGIN")
    blocks = [np.load(folders[0] / "passages.npy", allow_pickle=False)]
    documents, rows = segments[0].documents, segments[0].passages
    columns = {name: [column] for name, column in read_columns(database, documents).items()}
    for folder, segment in zip(folders[1:], segments[1:], strict=True):
        source = sqlite3.connect(
            f"{(folder / 'documents.sqlite').absolute().as_uri()}?mode=ro", uri=True
        )
        taken = source.execute(
            "SELECT number + ?, id, title, text, url, lang, fields, hash, row + ?, passages FROM documents",
            (documents, rows),
        )
        database.executemany("INSERT INTO documents VALUES (?,?,?,?,?,?,?,?,?,?)", taken)
        for name, column in read_columns(source, segment.documents).items():
            moved = Column(column.documents + np.int32(documents), column.codes, column.values)
            columns.setdefault(name, []).append(moved)
        source.close()
        block = np.load(folder / "passages.npy", allow_pickle=False)
        block["document"] += documents
        blocks.append(block)
        documents += segment.documents
        rows += segment.passages
    write_columns(database, {name: joined(parts) for name, parts in columns.items()})
    database.execute("COMMIT")
    database.close()
    np.save(target / "passages.npy", np.concatenate(blocks).astype(PASSAGE), allow_pickle=False)
    with (target / "vectors.f32").open("wb") as out:
        for folder in folders:
            with (folder / "vectors.f32").open("rb") as vectors:
                shutil.copyfileobj(vectors, out, 2**24)
    if tokens:
        merge_tokens(folders, target)
    assert (target / "vectors.f32").stat().st_size == rows * dim * 4
    return SegmentEntry(target.name, documents, rows)
