"""Keeping an index in step with a folder of files: new, changed and removed files follow.

`sync.sqlite`, in the index folder or in the user's own state folder, remembers each file's size and time, the ids it gave and what was set aside.
It is no part of a commit: before one it holds the ids of both states, so that after a kill the next run
finds what to remove. Documents that came from elsewhere are left alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from configs.errors import DocumentError, IndexFolderError
from indexer.build import ChangeReport, add_documents
from indexer.folder import open_store
from indexer.schema import Document, Encoder, FieldKind
from indexer.storage.commit import refuse_foreign
from indexer.storage.manifest import MANIFEST, read_manifest
from indexer.text.folders import Listing
from indexer.text.rejects import OnReject, Reject, file_of
from indexer.text.sources import Reader, ReadNotes, ReadOptions, read_file, source_files

__all__ = ["SyncReport", "Target", "pending_files", "sync_folder", "sync_with"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    folder TEXT, path TEXT, size INTEGER, time INTEGER, PRIMARY KEY (folder, path)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ids (folder TEXT, path TEXT, id TEXT, fresh INTEGER);
CREATE INDEX IF NOT EXISTS ids_by_file ON ids (folder, path);
CREATE INDEX IF NOT EXISTS ids_by_id ON ids (id);
CREATE TABLE IF NOT EXISTS rejects (folder TEXT, path TEXT, place TEXT, reason TEXT, text TEXT);
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
"""

Stamp = tuple[int, int]  # size in bytes, time of the last change in ns
_AT_ONCE = 500  # documents remembered together, where they are written while more are read


class Target(Protocol):
    """An index that follows a folder."""

    @property
    def memory(self) -> Path:
        """The file that remembers the folder."""
        ...

    @property
    def gradual(self) -> bool:
        """Whether documents are written while more are read, and not in one commit at the end."""
        ...

    def exists(self) -> bool: ...

    def generation(self) -> str:
        """Another one after each change. Raises when there is no index."""
        ...

    def missing(self, ids: Sequence[str]) -> set[str]:
        """Those of these documents that the index has not."""
        ...

    def add(
        self,
        documents: Iterable[Document],
        gone: Callable[[], Collection[str]],
        on_reject: OnReject,
    ) -> ChangeReport:
        """Add documents, then delete those that are `gone`."""
        ...


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What one run did: files read and files that were gone, and the commit, when there was one."""

    read: int
    removed: int
    unchanged: int
    """Files that were not read again."""
    commit: ChangeReport | None


@dataclass(frozen=True, slots=True)
class _Plan:
    """What differs between a folder and what is remembered of it; paths below the folder."""

    listing: Listing
    stamps: dict[str, Stamp]
    """Of every file there is."""
    changed: list[str]
    removed: list[str]


class _Memory:
    """`sync.sqlite` of an index, for one folder. SQLite's lock lets one run write at a time."""

    def __init__(self, file: Path, folder: str) -> None:
        self.folder = folder
        self.file = file
        self._database = sqlite3.connect(self.file, isolation_level=None, timeout=0.5)
        try:
            self._database.executescript(_SCHEMA)
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise IndexFolderError(
                f"{self.file}: cannot be used ({error}); another `index sync` is running, or remove the file "
                "and run this again: every file is then read once more"
            ) from error

    def close(self) -> None:
        self._database.close()

    def __call__(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        try:
            return self._database.execute(statement, values).fetchall()
        except sqlite3.OperationalError as error:
            raise IndexFolderError(
                f"{self.file}: {error}; another `index sync` is running: wait for it"
            ) from error

    def files(self) -> dict[str, Stamp]:
        rows = self("SELECT path, size, time FROM files WHERE folder = ?", self.folder)
        return {path: (size, time) for path, size, time in rows}

    def ids(self, path: str) -> list[str]:
        rows = self("SELECT id FROM ids WHERE folder = ? AND path = ?", self.folder, path)
        return [id_ for (id_,) in rows]

    def others(self, id_: str, path: str) -> list[str]:
        """Other files of the folder that gave this id."""
        rows = self(
            "SELECT path FROM ids WHERE folder = ? AND id = ? AND path != ? ORDER BY path",
            self.folder, id_, path,
        )  # fmt: skip
        return [other for (other,) in rows]

    def note(self, name: str) -> str:
        rows = self("SELECT value FROM notes WHERE name = ?", name)
        return rows[0][0] if rows else ""

    def set_note(self, name: str, value: str) -> None:
        self("INSERT OR REPLACE INTO notes VALUES (?, ?)", name, value)

    def rejects(self, paths: Iterable[str]) -> Iterator[Reject]:
        query = "SELECT place, reason, text FROM rejects WHERE folder = ? AND path = ?"
        for path in paths:
            for place, reason, text in self(query, self.folder, path):
                yield Reject(place, reason, text)


def pending_files(index: str | Path, folder: str, options: ReadOptions | None = None) -> int:
    """How many files of the folder are new, changed or gone since the last run."""
    target = _FolderTarget(Path(index))
    with contextlib.closing(_Memory(target.memory, _resolved(folder))) as memory:
        plan = _plan(memory, target, folder, options or ReadOptions())
    return len(plan.changed) + len(plan.removed)


def sync_folder(
    index: str | Path,
    folder: str,
    encoder: Encoder | None = None,
    *,
    options: ReadOptions | None = None,
    build: Callable[[Iterable[Document], OnReject], ChangeReport] | None = None,
    allow_empty: bool = False,
    kinds: Mapping[str, FieldKind] | None = None,
    on_reject: OnReject,
    notes: ReadNotes | None = None,
    progress: Callable[[int], None] | None = None,
    workers: int = 0,
    device: str = "auto",
) -> SyncReport:
    """Bring an index in step with a folder, in one commit, or none where nothing changed.

    A file is read again when its size or time changed, when the options did, or when a document it gave
    is no longer in the index. `build` makes an index of documents where there is none; without it that is
    an IndexFolderError. Raises DocumentError as `read_documents`.
    """
    refuse_foreign(Path(index))  # before anything is written beside what is not ours
    target = _FolderTarget(Path(index), encoder, kinds, progress, workers, device)
    return sync_with(
        target, folder, options=options, build=build, allow_empty=allow_empty,
        on_reject=on_reject, notes=notes,
    )  # fmt: skip


def sync_with(
    target: Target,
    folder: str,
    *,
    options: ReadOptions | None = None,
    build: Callable[[Iterable[Document], OnReject], ChangeReport] | None = None,
    allow_empty: bool = False,
    on_reject: OnReject,
    notes: ReadNotes | None = None,
) -> SyncReport:
    """`sync_folder` for an index of any kind."""
    options, notes = options or ReadOptions(), notes or ReadNotes()
    source_files(folder, options.ignore, may_be_empty=True)  # a folder that is none is told first
    if build is None or target.exists():
        target.generation()
        build = None
    target.memory.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(_Memory(target.memory, _resolved(folder))) as memory:
        plan = _plan(memory, target, folder, options)
        if plan.removed and not plan.stamps and not allow_empty:
            raise DocumentError(
                f"{folder}: holds no file now, but {len(plan.removed):,} were there before; is a drive not "
                "mounted? To remove their documents: --allow-empty"
            )
        run = _Run(memory, folder, plan, options, notes, on_reject, target.gradual)
        commit = None
        if build is not None:
            commit = build(run.documents(), run.reject)
            if (
                target.gradual and run.gone()
            ):  # of a build that was killed, which this one went on with
                target.add((), run.gone, run.reject)
        elif plan.changed or plan.removed:
            commit = target.add(run.documents(), run.gone, run.reject)
        run.finish()
        memory.set_note("generation", target.generation())
        memory.set_note(f"options of {memory.folder}", _told(options))
    return SyncReport(
        len(plan.changed), len(plan.removed), len(plan.stamps) - len(plan.changed), commit
    )


@dataclass(frozen=True, slots=True)
class _FolderTarget:
    """An index folder."""

    index: Path
    encoder: Encoder | None = None
    kinds: Mapping[str, FieldKind] | None = None
    progress: Callable[[int], None] | None = None
    workers: int = 0
    device: str = "auto"
    gradual: bool = False

    @property
    def memory(self) -> Path:
        return self.index / "sync.sqlite"

    def exists(self) -> bool:
        return (self.index / MANIFEST).exists()

    def generation(self) -> str:
        return str(read_manifest(self.index).generation)

    def missing(self, ids: Sequence[str]) -> set[str]:
        with contextlib.closing(open_store(self.index, read_manifest(self.index))) as store:
            return set(ids) - store.find(ids).keys()

    def add(
        self,
        documents: Iterable[Document],
        gone: Callable[[], Collection[str]],
        on_reject: OnReject,
    ) -> ChangeReport:
        return add_documents(
            self.index, documents, self.encoder, gone=gone, kinds=self.kinds, on_reject=on_reject,
            progress=self.progress, workers=self.workers, device=self.device,
        )  # fmt: skip


def _resolved(folder: str) -> str:
    return str(Path(folder).resolve())


def _told(options: ReadOptions) -> str:
    return json.dumps(dataclasses.asdict(options), sort_keys=True)


def _plan(memory: _Memory, target: Target, folder: str, options: ReadOptions) -> _Plan:
    listing = source_files(folder, options.ignore, may_be_empty=True)
    stamps: dict[str, Stamp] = {}
    for path in listing.files:
        with contextlib.suppress(FileNotFoundError):  # removed since it was listed
            found = path.stat()
            stamps[path.relative_to(folder).as_posix()] = (found.st_size, found.st_mtime_ns)
    known = memory.files()
    again = memory.note(f"options of {memory.folder}") not in ("", _told(options))
    lost = _lost(memory, target, known)
    changed = [p for p, stamp in stamps.items() if again or known.get(p) != stamp or p in lost]
    # Ids without a file are those of a run that was killed.
    paths = {path for (path,) in memory("SELECT DISTINCT path FROM ids WHERE folder = ?", memory.folder)}  # fmt: skip
    removed = sorted((paths | known.keys()) - stamps.keys())
    return _Plan(listing, stamps, changed, removed)


def _lost(memory: _Memory, target: Target, known: Collection[str]) -> set[str]:
    """Files a document of which is no longer in the index: someone deleted it, or built the index again."""
    if not known:
        return set()
    if memory.note("generation") == target.generation():
        return set()
    given = {path: memory.ids(path) for path in known}
    missing = target.missing(sorted({id_ for ids in given.values() for id_ in ids}))
    return {path for path, ids in given.items() if not missing.isdisjoint(ids)}


class _Run:
    """One run's reading: remembers ids as they come, and knows at the end which are gone."""

    def __init__(
        self,
        memory: _Memory,
        folder: str,
        plan: _Plan,
        options: ReadOptions,
        notes: ReadNotes,
        on_reject: OnReject,
        gradual: bool,
    ) -> None:
        self._memory = memory
        self._gradual = gradual
        self._folder = folder
        self._plan = plan
        self._on_reject = on_reject
        notes.decoding.encoding = options.encoding
        self._reader = Reader(self.reject, options.columns, notes)
        self._read = set(plan.changed)
        self._gone: set[str] = set()
        self._set_aside: list[tuple[str, Reject]] = []

    def reject(self, reject: Reject) -> None:
        path = Path(file_of(reject.place))
        below = path.relative_to(self._folder) if path.is_relative_to(self._folder) else path
        self._set_aside.append((below.as_posix(), reject))
        self._on_reject(reject)

    def documents(self) -> Iterator[Document]:
        """Documents of changed files; then of files that share an id with one that is gone.

        What was read is remembered before the index makes its commit; where it is written bit by bit, before
        each bit is.
        """
        memory, plan = self._memory, self._plan
        memory("BEGIN IMMEDIATE")
        old = {id_ for path in (*plan.changed, *plan.removed) for id_ in memory.ids(path)}
        fresh: set[str] = set()
        for path in plan.changed:
            for document in self._file(path):
                fresh.add(document.id)
                yield document
        self._gone = old - fresh
        others = {other for id_ in self._gone for other in memory.others(id_, "")}
        heirs = sorted(path for path in others - self._read if path in plan.stamps)
        self._read.update(heirs)
        for path in heirs:
            for document in self._file(path):
                self._gone.discard(document.id)
                yield document
        memory("COMMIT")

    def _file(self, path: str) -> Iterator[Document]:
        """One file's documents, but for those that another file gave and still gives."""
        documents = self._kept(path)
        while self._gradual and (some := list(itertools.islice(documents, _AT_ONCE))):
            self._memory("COMMIT")
            self._memory("BEGIN IMMEDIATE")
            yield from some
        yield from documents

    def _kept(self, path: str) -> Iterator[Document]:
        memory = self._memory
        for document in read_file(Path(self._folder, path), self._folder, self._reader):
            memory("INSERT INTO ids VALUES (?, ?, ?, 1)", memory.folder, path, document.id)
            holders = memory.others(document.id, path)
            kept = [p for p in holders if p not in self._read and p in self._plan.stamps]
            if kept:
                reason = f"the id {document.id!r} is that of a document of {kept[0]}, which is kept"
                self.reject(Reject(document.place, reason, document.text[:2000]))
                continue
            yield document

    def gone(self) -> list[str]:
        """Ids that no file gives any more; asked for when every document was read."""
        return sorted(self._gone)

    def finish(self) -> None:
        """Remember the new state, when the commit is made; hand over what is set aside in files not read."""
        memory, plan = self._memory, self._plan
        for place, reason in plan.listing.unknown:
            self._on_reject(Reject(str(place), reason))
        self._reader.notes.passed_over.update(plan.listing.passed_over)
        for reject in memory.rejects(path for path in plan.stamps if path not in self._read):
            self._on_reject(reject)
        memory("BEGIN IMMEDIATE")
        for path in (*self._read, *plan.removed):
            memory("DELETE FROM files WHERE folder = ? AND path = ?", memory.folder, path)
            memory("DELETE FROM rejects WHERE folder = ? AND path = ?", memory.folder, path)
            fresh = 1 if path in self._read else 2  # of a removed file nothing is kept
            memory(
                "DELETE FROM ids WHERE folder = ? AND path = ? AND fresh < ?", memory.folder, path, fresh
            )  # fmt: skip
        for path in self._read:
            memory("INSERT INTO files VALUES (?, ?, ?, ?)", memory.folder, path, *plan.stamps[path])
        memory("UPDATE ids SET fresh = 0 WHERE folder = ?", memory.folder)
        for path, reject in self._set_aside:
            memory(
                "INSERT INTO rejects VALUES (?, ?, ?, ?, ?)",
                memory.folder, path, reject.place, reject.reason, reject.text,
            )  # fmt: skip
        memory("COMMIT")
