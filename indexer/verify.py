"""Whether an index folder is what its manifest says, and what can be read of one that is not."""

from __future__ import annotations

import collections
import hashlib
import itertools
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from configs.errors import IndexFolderError, TandemError
from indexer.folder import open_store, open_tokens
from indexer.schema import Document
from indexer.search.lexical import LexicalIndex
from indexer.storage.arrays import NO_ARRAY, load_array
from indexer.storage.columns import stored, values_of
from indexer.storage.manifest import Manifest, read_manifest, refuse_links
from indexer.storage.store import Store, document_of, open_database

__all__ = ["recover_documents", "verify"]

_CHUNK = 65_536  # rows compared at a time
_UNIT = 1e-3  # how far from 1 the length of a stored vector may be


def verify(path: str | Path, progress: Callable[[int], None] | None = None) -> list[str]:
    """What is wrong with an index, a line each; empty when nothing is.

    Reads every file and compares it with the manifest's SHA-256, then the counts with each other.
    """
    path = Path(path)
    if not path.is_dir():
        raise IndexFolderError(f"{path}: no such index folder")
    try:
        manifest = read_manifest(path)
        refuse_links(path, manifest)
    except TandemError as error:
        return [str(error).split("; see:")[0]]
    problems = []
    for name, entry in manifest.files.items():
        problem = _file_problem(path / name, entry.size, entry.sha256)
        if problem:
            problems.append(f"{name}: {problem}")
        if progress is not None:
            progress(entry.size)
    return problems or list(_disagreements(path, manifest))


def _file_problem(file: Path, size: int, sha256: str) -> str | None:
    try:
        found = file.stat().st_size
        if not file.is_file():
            return "not a regular file"
        if found != size:
            return f"{found:,} bytes, but {size:,} were written"
        with file.open("rb") as opened:
            if hashlib.file_digest(opened, "sha256").hexdigest() != sha256:
                return "its content is not what was written (wrong SHA-256)"
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return f"cannot be read: {error}"
    return None


def _disagreements(path: Path, manifest: Manifest) -> Iterator[str]:
    """Where files that are each whole do not agree: a manifest that was put together by hand, say."""
    try:
        store = open_store(path, manifest)
    except (TandemError, ValueError, OSError, sqlite3.Error) as error:
        yield f"manifest.json: {error}"
        return
    try:
        yield from _store_problems(manifest, store)
        yield from _side_problems(path, manifest, int((~store.deleted).sum()))
    finally:
        store.close()


def _store_problems(manifest: Manifest, store: Store) -> Iterator[str]:
    languages = collections.Counter[str]()
    values = collections.Counter[str]()  # of fields
    covered = 0  # rows of live documents; each document's follow those of the one before
    try:
        for document, _, row, count in store.live():
            languages[document.lang] += 1
            covered += count
            for name, text in document.fields.items():
                values[name.casefold()] += len({stored(value) for value in values_of(text)})
            mine = store.passages[row : row + count]
            if not _belongs(mine, document, count) or store.deleted[row : row + count].any():
                yield f"the passages of {document.id!r} are not those of its text"
                return
    except (IndexFolderError, IndexError, ValueError, TypeError) as error:
        yield f"documents.sqlite: {error}"
        return
    live = int((~store.deleted).sum())
    yield from _field_problems(store, values)
    said = {
        "passages": (manifest.passages, live),
        "documents": (manifest.documents, languages.total()),
        "deleted": (manifest.deleted, len(store) - live),
        "passages of its documents": (covered, live),
    }
    for lang in sorted({*manifest.languages, *languages}):
        said[f"languages.{lang}"] = (manifest.languages.get(lang, 0), languages[lang])
    for name, (number, found) in said.items():
        if number != found:
            yield f"manifest.json: {name} says {number:,}, but there are {found:,}"
    for start in range(0, len(store), _CHUNK):
        lengths = np.linalg.norm(
            store.take(np.arange(start, min(start + _CHUNK, len(store)))), axis=1
        )
        wrong = ~((np.abs(lengths - 1) < _UNIT) | (lengths == 0))  # NaN is wrong too
        if wrong.any():
            yield f"vectors.f32: row {start + int(wrong.argmax()):,} is not of unit length"
            return


def _field_problems(store: Store, values: Mapping[str, int]) -> Iterator[str]:
    """Where the columns of fields are not those of the documents; by the number of their values."""
    alive = np.zeros(int(store.document_bases[-1]), np.bool_)
    alive[store.passages["document"][~store.deleted]] = True
    try:
        for name in store.fields():
            found = int(alive[store.column(name).documents].sum())
            if found != values[name.casefold()]:
                yield f"documents.sqlite: the column of the field {name!r} has {found:,} values, the documents {values[name.casefold()]:,}"
    except IndexFolderError as error:
        yield f"documents.sqlite: {error}"


def _belongs(passages: NDArray[np.void], document: Document, count: int) -> bool:
    """Whether these are all the passages of this document, in order."""
    return bool(
        len(passages) == count > 0
        and (passages["number"] == np.arange(count)).all()
        and (passages["document"] == passages["document"][0]).all()
        and (passages["lang"] == document.lang.encode()).all()
        and (passages["start"] >= 0).all()
        and (passages["start"] <= passages["end"]).all()
        and int(passages["end"].max()) <= len(document.text)
    )


def _side_problems(path: Path, manifest: Manifest, live: int) -> Iterator[str]:
    """What the two sides of the search hold, beside what the segments do."""
    if manifest.lexical.backend == "tantivy":
        try:
            words = len(LexicalIndex.open(path / manifest.lexical_folder))
        except (ValueError, OSError) as error:
            yield f"{manifest.lexical_folder}: {error}"
        else:
            if words != live:
                yield f"{manifest.lexical_folder}: {words:,} passages, but there are {live:,}"
    if manifest.alignment is not None:
        try:
            open_tokens(path, manifest).check()
        except (ValueError, OSError) as error:
            yield str(error)
    entry = manifest.dense_index
    if entry.file is not None:
        from indexer.search.dense import read_ann

        try:
            read_ann(path / entry.file, manifest.encoder.dim, entry.covered, entry.factory)
        except TandemError as error:
            yield f"{entry.file}: {str(error).split('; see:')[0]}"


# -- recovery --------------------------------------------------------------------------------------


def recover_documents(path: str | Path, on_problem: Callable[[str], None]) -> Iterator[Document]:
    """Every document that can still be read from a damaged index, newest version of each id.

    Deletion marks are honoured where they can be read. No manifest is needed: without one, segments
    are found by name.
    """
    path = Path(path)
    if not path.is_dir():
        raise IndexFolderError(f"{path}: no such index folder")
    manifest: Manifest | None = None
    try:
        manifest = read_manifest(path)
    except TandemError as error:
        on_problem(str(error).split("; see:")[0])
    if manifest is not None:
        folders = [path / segment.folder for segment in manifest.segments]
        rows = [segment.passages for segment in manifest.segments]
        marks: Path | None = path / manifest.deletions
    else:
        found = (p for p in path.glob("*-*") if (p / "documents.sqlite").is_file())
        folders = sorted(found, key=_number)  # segment-10 is newer than segment-9
        rows = [_passages(folder) for folder in folders]
        marks = max(path.glob("deleted-*.npy"), key=_number, default=None)
    deleted = _marks(marks, sum(rows), on_problem)
    bases = list(itertools.accumulate(rows, initial=0))
    seen: set[str] = set()
    for folder, base in reversed(list(zip(folders, bases, strict=False))):
        if not (folder / "documents.sqlite").resolve().is_relative_to(path.resolve()):
            on_problem(f"{folder.name}: a link out of the index folder; passed over")
            continue
        for document, row in _readable(folder, on_problem):
            gone = deleted is not None and 0 <= base + row < len(deleted) and deleted[base + row]
            if document.id not in seen and not gone:
                seen.add(document.id)
                yield document


def _number(entry: Path) -> int:
    """The commit that an entry of the folder was made by."""
    number = entry.name.rpartition("-")[2].partition(".")[0]
    return int(number) if number.isdigit() else -1


def _passages(folder: Path) -> int:
    """How many passages a segment has, by its vector-free records; 0 when that cannot be read."""
    try:
        return len(np.lib.format.open_memmap(folder / "passages.npy", mode="r"))
    except (OSError, *NO_ARRAY):
        return 0


def _marks(
    file: Path | None, rows: int, on_problem: Callable[[str], None]
) -> NDArray[np.bool_] | None:
    try:
        if file is None:
            raise ValueError("deleted-N.npy is missing")
        return np.array(load_array(file, np.dtype(np.bool_), rows))
    except (OSError, ValueError) as error:
        on_problem(f"the deletion marks cannot be used ({error}); deleted documents come back")
        return None


def _readable(folder: Path, on_problem: Callable[[str], None]) -> Iterator[tuple[Document, int]]:
    """(document, row) of a segment, as far as SQLite can read it; newest first."""
    name = f"{folder.name}/documents.sqlite"
    try:
        database = open_database(folder / "documents.sqlite")
    except sqlite3.Error as error:
        on_problem(f"{name}: {error}")
        return
    lost = 0
    try:
        (last,) = database.execute("SELECT max(number) FROM documents").fetchone()
        # A number that cannot be: each document takes a byte and more of the file.
        most = min(
            last if isinstance(last, int) else -1, (folder / "documents.sqlite").stat().st_size
        )
        for number in range(most, -1, -1):
            try:
                found = database.execute(
                    "SELECT id, text, title, url, lang, fields, row FROM documents WHERE number = ?",
                    (number,),
                ).fetchone()
                if found is not None:
                    yield _sound(found[:6]), int(found[6])
            except (sqlite3.Error, ValueError, TypeError):
                lost += 1
    except (sqlite3.Error, UnicodeDecodeError) as error:
        on_problem(f"{name}: {error}")
    finally:
        database.close()
    if lost:
        on_problem(f"{name}: {lost:,} documents could not be read")


def _sound(values: tuple[object, ...]) -> Document:
    """The document; ValueError when a column is not what was written there."""
    if not all(isinstance(value, str) for value in values):
        raise ValueError("no text")
    document = document_of(values)
    if not isinstance(document.fields, dict):
        raise ValueError("no fields")
    return document
