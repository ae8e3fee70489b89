"""Commits of an index folder: the one writer's lock, the files of a commit made durable, leftovers removed.

A commit is the renaming of manifest.json; every other file has a name of its own commit and is complete
and on disk before that. Whatever no manifest names is a leftover, and the next writer removes it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import getpass
import hashlib
import json
import os
import re
import shutil
import socket
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from configs.errors import IndexFolderError, IndexLocked
from indexer.storage.manifest import MANIFEST, FileEntry, Manifest, checksum

__all__ = ["commit", "file_hash", "locked", "mark_deleted", "reached", "refuse_foreign", "sweep"]

_KEPT = {MANIFEST, "lock", "lock.json", "rejects.jsonl", "journal"}
_BESIDE = {
    "sync.sqlite",
    "sync.sqlite-journal",
    ".DS_Store",
}  # may stand there before the first commit


def reached(point: str) -> None:
    """A place between two steps of a commit. Does nothing; the tests that kill a writer hook in here."""


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
_FOREIGN = re.compile(  # the same from SQLite, tantivy and FAISS
    rf"disk is full|disk I/O|readonly database|os error ({'|'.join(map(str, _NO_ROOM))})\b|"
    rf"index writer was killed|{'|'.join(re.escape(os.strerror(code)) for code in _NO_ROOM)}"
)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """A disk that is full, gone or read-only is no defect of ours: IndexFolderError says so."""
    try:
        yield
    except (OSError, sqlite3.OperationalError, ValueError, RuntimeError) as error:
        ours = isinstance(error, OSError) and error.errno in _NO_ROOM
        if not ours and not _FOREIGN.search(str(error)):
            raise
        raise IndexFolderError(
            f"{path}: could not be written ({str(error).splitlines()[0]}); what was committed before "
            "is as it was. Make room, then run this again: what was encoded is kept"
        ) from error


@contextlib.contextmanager
def locked(path: Path, purpose: str) -> Iterator[None]:
    """The one writer's place. A second writer is refused and told who holds it.

    The operating system gives the lock up when its owner dies, so a dead owner's lock is free.
    """
    import filelock

    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path / "lock")
        lock.acquire(timeout=0)
    except filelock.Timeout:
        try:
            owner = json.loads((path / "lock.json").read_text("utf-8"))
            who = f"process {owner['pid']} of {owner['user']} on {owner['host']} ({owner['purpose']}, since {owner['since']})"
        except (OSError, ValueError, KeyError):
            who = "another process"
        raise IndexLocked(f"{path}: being written by {who}; wait for it, or end it") from None
    except (
        OSError,
        RuntimeError,
    ) as error:  # RuntimeError: filelock's word for a disk without locks
        raise IndexFolderError(
            f"{path}: cannot be written: {error}; choose a folder you may write to"
        ) from error
    note = path / "lock.json"
    try:
        owner = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "user": _user(),
            "purpose": purpose,
            "since": time.strftime("%Y-%m-%d %H:%M:%S"),
        }
        with contextlib.suppress(OSError):  # a full disk is noticed where it matters
            note.unlink(missing_ok=True)  # never written through a link
            note.write_text(json.dumps(owner), "utf-8")
        with _explained(path):
            yield
    finally:
        with contextlib.suppress(OSError):
            note.unlink(missing_ok=True)
        lock.release()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid()) if hasattr(os, "getuid") else "unknown"


def sweep(path: Path, manifest: Manifest | None, keep_journal: bool = True) -> None:
    """Remove whatever the commit does not name: leftovers of a killed writer, files of older commits."""
    keep = set(_KEPT)
    if manifest is not None:
        keep |= {name.split("/")[0] for name in manifest.files}
    if not keep_journal or _is_done(path, manifest):
        keep.discard("journal")
    for entry in path.iterdir():
        if entry.name in keep or not _ours(entry.name):
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(
                entry, ignore_errors=True
            )  # Windows: a reader may still hold a file of it
        else:
            with contextlib.suppress(OSError):
                entry.unlink()


def refuse_foreign(path: Path) -> None:
    """Raise IndexFolderError for a folder without an index in which something stands that no writer of ours made."""
    names = sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []
    foreign = [name for name in names if not _ours(name) and name not in _KEPT | _BESIDE]
    if foreign and MANIFEST not in names:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise IndexFolderError(
            f"{path}: the folder is no index and holds {foreign[0]}{more}; name a new or an empty folder for the index"
        )


def _is_done(path: Path, manifest: Manifest | None) -> bool:
    """Whether the journal must not be appended to: a commit has its vectors, or it leads elsewhere."""
    journal = path / "journal"
    if journal.is_symlink() or any(entry.is_symlink() for entry in journal.glob("*")):
        return True
    vectors = journal / "vectors.f32"
    for segment in () if manifest is None else manifest.segments:
        with contextlib.suppress(OSError):
            if vectors.samefile(path / segment.folder / "vectors.f32"):
                return True
    return False


def _ours(name: str) -> bool:
    """Whether a writer of ours made an entry of this name; a person's own files are left alone."""
    return bool(
        re.fullmatch(
            r"(segment|lexical|merged)-\d+|dense-\d+\.faiss|deleted-\d+\.npy|journal|manifest\.json\.new",
            name,
        )
    )


def _sync(path: Path) -> None:
    """Have a file, or the entries of a folder, reach the disk."""
    if path.is_dir() and sys.platform == "win32":
        return  # Windows cannot open a folder, and needs no such call
    descriptor = os.open(
        path, os.O_RDONLY if path.is_dir() or sys.platform != "win32" else os.O_RDWR
    )
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _same(one: Path, other: Path) -> bool:
    """Whether two names are of one file. A file system without hard links has copies instead."""
    try:
        return one.samefile(other)
    except FileNotFoundError:
        return False


def file_hash(file: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def commit(path: Path, manifest: Manifest, base: Manifest | None) -> Manifest:
    """Make `manifest` the folder's newest commit: hash and sync its files, then rename it into place.

    Files that `base` vouches for already, by name and size, are not read again.
    """
    files: dict[str, FileEntry] = {}
    known = {} if base is None else base.files
    # A hard-linked tantivy file has the name that it had in the folder before.
    before = Path() if base is None else path / base.lexical_folder
    for root in manifest.roots():
        top = path / root
        entries = sorted(p for p in top.rglob("*") if p.is_file()) if top.is_dir() else [top]
        for file in entries:
            name = file.relative_to(path).as_posix()
            size = file.stat().st_size
            entry = known.get(name)
            if entry is not None and entry.size != size:
                raise IndexFolderError(
                    f"{file}: damaged: {size:,} bytes, but {entry.size:,} were written; "
                    f"see: tandem index verify {path}"
                )
            if entry is None and base is not None and root == manifest.lexical_folder:
                old = known.get(f"{base.lexical_folder}/{file.name}")
                if old is not None and old.size == size and _same(file, before / file.name):
                    entry = old
            if entry is None:
                _sync(file)
                entry = FileEntry(size, file_hash(file))
            files[name] = entry
        if top.is_dir():
            _sync(top)
    _sync(path)  # the names of the new files reach the disk before the manifest that names them
    reached("files synced")
    manifest = dataclasses.replace(manifest, files=files)
    values = dataclasses.asdict(manifest)
    values["checksum"] = checksum(json.loads(json.dumps(values)))
    new = path / f"{MANIFEST}.new"
    new.write_text(json.dumps(values, ensure_ascii=False, indent=1), "utf-8")
    _sync(new)
    reached("manifest written")
    new.replace(path / MANIFEST)
    reached("manifest renamed")
    _sync(path)
    return manifest


def mark_deleted(path: Path, name: str, deleted: NDArray[np.bool_]) -> None:
    np.save(path / name, deleted, allow_pickle=False)
