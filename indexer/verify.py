"""Whether an index folder is what its manifest says, and what can be read of one that is not."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from configs.errors import IndexFolderError, TandemError
from indexer.folder import Manifest, read_manifest
from indexer.schema import Document
from indexer.store import Store, document_of, open_database

__all__ = ["recover_documents", "verify"]


def verify(path: str | Path, progress: Callable[[int], None] | None = None) -> list[str]:
    """What is wrong with an index, a line each; empty when nothing is.

    Reads every file and compares it with the manifest's SHA-256, then the counts with each other.
    """
    path = Path(path)
    if not path.is_dir():
        raise IndexFolderError(f"{path}: no such index folder")
    try:
        manifest = read_manifest(path)
    except TandemError as error:
        return [str(error).split("; see:")[0]]
    problems = []
    for name, entry in manifest.files.items():
        problem = _file_problem(path / name, entry.size, entry.sha256)
        if problem:
            problems.append(f"{name}: {problem}")
        if progress is not None:
            progress(entry.size)
    return problems or _count_problems(path, manifest)


def _file_problem(file: Path, size: int, sha256: str) -> str | None:
    try:
        found = file.stat().st_size
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


def _count_problems(path: Path, manifest: Manifest) -> list[str]:
    """Where files that are each whole do not agree: a manifest that was put together by hand, say."""
    problems = []
    folders = [path / segment.folder for segment in manifest.segments]
    expected = {
        f"{s.folder}/{file}"
        for s in manifest.segments
        for file in ("documents.sqlite", "passages.npy", "vectors.f32")
    }
    problems += [
        f"manifest.json: {name} is not among its files"
        for name in sorted(expected - set(manifest.files))
    ]
    if problems:
        return problems
    deleted = np.load(path / manifest.deletions, allow_pickle=False)
    try:
        store = Store(folders, manifest.encoder.dim, deleted)
    except (TandemError, ValueError, OSError) as error:
        return [f"manifest.json: {error}"]
    try:
        live = int((~deleted).sum())
        documents = sum(1 for _ in store.live())
        counts = {
            "passages": (manifest.passages, live),
            "documents": (manifest.documents, documents),
            "languages": (sum(manifest.languages.values()), documents),
            "deleted": (manifest.deleted, len(deleted) - live),
        }
        problems += [
            f"manifest.json: {name} says {said:,}, but there are {found:,}"
            for name, (said, found) in counts.items()
            if said != found
        ]
        if manifest.lexical.backend == "tantivy":
            import tantivy

            words = tantivy.Index.open(str(path / manifest.lexical_folder)).searcher().num_docs
            if words != live:
                problems.append(
                    f"{manifest.lexical_folder}: {words:,} passages, but there are {live:,}"
                )
    finally:
        store.close()
    return problems


def recover_documents(path: str | Path, on_problem: Callable[[str], None]) -> Iterator[Document]:
    """Every document that can still be read from a damaged index, newest version of each id.

    Deletion marks are honoured where they can be read. No manifest is needed: segments are found by name.
    """
    path = Path(path)
    try:
        manifest: Manifest | None = read_manifest(path)
    except TandemError as error:
        on_problem(str(error).split("; see:")[0])
        manifest = None
    if manifest is not None:
        folders = [path / segment.folder for segment in manifest.segments]
    else:
        folders = sorted(p for p in path.glob("*-*") if (p / "documents.sqlite").is_file())
    deleted = None
    try:
        if manifest is not None:
            deleted = np.load(path / manifest.deletions, allow_pickle=False)
    except (OSError, ValueError) as error:
        on_problem(
            f"{manifest.deletions if manifest else 'deleted'}: {error}; deleted documents come back"
        )
    bases = (
        np.cumsum([0, *(s.passages for s in manifest.segments)]) if manifest is not None else None
    )
    seen: set[str] = set()
    for place in range(len(folders) - 1, -1, -1):
        base = int(bases[place]) if bases is not None else 0
        for document, row in _readable(folders[place], on_problem):
            gone = deleted is not None and base + row < len(deleted) and bool(deleted[base + row])
            if document.id not in seen and not gone:
                seen.add(document.id)
                yield document


def _readable(folder: Path, on_problem: Callable[[str], None]) -> Iterator[tuple[Document, int]]:
    """(document, row) of a segment, as far as SQLite can read it; newest first."""
    try:
        database = open_database(folder / "documents.sqlite")
        (last,) = database.execute("SELECT max(number) FROM documents").fetchone()
    except sqlite3.Error as error:
        on_problem(f"{folder.name}/documents.sqlite: {error}")
        return
    lost = 0
    for number in range(last if last is not None else -1, -1, -1):
        try:
            found = database.execute(
                "SELECT id, text, title, url, lang, fields, row FROM documents WHERE number = ?",
                (number,),
            ).fetchone()
            if found is not None:
                yield document_of(found[:6]), int(found[6])
        except (sqlite3.Error, ValueError):
            lost += 1
    database.close()
    if lost:
        on_problem(f"{folder.name}/documents.sqlite: {lost:,} documents could not be read")
