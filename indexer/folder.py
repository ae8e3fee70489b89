"""An index folder: one commit of it opened for reading, and the steps that make the next commit.

    manifest.json            the commit: what there is, with every file's size and SHA-256
    segment-N/               documents, passages, vectors that commit N added (indexer.store)
    lexical-N/               tantivy's files as of commit N
    dense-N.faiss            the approximate index, when there is one
    deleted-N.npy            a mark on each row that is deleted
    journal/                 what an unfinished build has encoded (indexer.journal)
    rejects.jsonl            input that the last build or add set aside
    lock, lock.json          held by the one writer; who that is

A commit is the renaming of manifest.json; every other file has a name of its own commit and is complete
and on disk before that. Whatever no manifest names is a leftover, and the next writer removes it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import getpass
import hashlib
import json
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.errors import IndexFolderError, TandemError
from configs.settings import DenseSettings, LexicalSettings, PassageSettings, parse
from indexer.bm25 import RankBM25Index
from indexer.dense import DenseIndex
from indexer.encoders import open_encoder
from indexer.lexical import LexicalIndex
from indexer.schema import Document, Encoder, Index, Where
from indexer.store import Store

__all__ = [
    "FORMAT",
    "IndexFolder",
    "Manifest",
    "commit",
    "locked",
    "reached",
    "read_manifest",
    "sweep",
]

FORMAT = 1
MANIFEST = "manifest.json"
_SAFE = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*(/[A-Za-z0-9_.][A-Za-z0-9_.-]*)*")
_MAX_MANIFEST = 16 * 2**20  # bytes
_KEPT = {MANIFEST, "lock", "lock.json", "rejects.jsonl", "journal"}


def reached(point: str) -> None:
    """A place between two steps of a commit. Does nothing; the tests that kill a writer hook in here."""


@dataclass(frozen=True, slots=True)
class EncoderEntry:
    """Which encoder made the vectors."""

    model: str
    name: str
    fingerprint: str
    dim: int
    query_prompt: str | None = None
    passage_prompt: str | None = None
    background: float = 0.0
    """Mean cosine of unrelated passages; where the dense score counts from."""


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """One segment, by folder name."""

    folder: str
    documents: int
    passages: int


@dataclass(frozen=True, slots=True)
class DenseEntry:
    """The FAISS file, when there is one; it covers the first `covered` rows."""

    factory: str = "Flat"
    file: str | None = None
    covered: int = 0


@dataclass(frozen=True, slots=True)
class FileEntry:
    """Size in bytes and SHA-256 of a file of a commit."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an index folder is, at one commit."""

    format: int
    generation: int
    created: str
    encoder: EncoderEntry
    documents: int
    """Documents that can be found."""
    passages: int
    """Passages that can be found."""
    deleted: int
    """Passages that are marked deleted and take up room until `compact`."""
    languages: Mapping[str, int]
    """Documents of each language, most first."""
    segments: tuple[SegmentEntry, ...]
    deletions: str
    lexical_folder: str
    dense_index: DenseEntry
    passage_settings: PassageSettings = field(default_factory=PassageSettings)
    lexical: LexicalSettings = field(default_factory=LexicalSettings)
    dense: DenseSettings = field(default_factory=DenseSettings)
    files: Mapping[str, FileEntry] = field(default_factory=dict)
    """Every file of the commit, by its path in the folder."""


def _checksum(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(
        json.dumps(values, sort_keys=True, ensure_ascii=False).encode()
    ).hexdigest()


def read_manifest(path: Path) -> Manifest:
    """The newest commit's manifest. IndexFolderError when the folder is no index or the manifest lies."""
    file = path / MANIFEST
    if not path.exists():
        raise IndexFolderError(
            f"{path}: no such index folder; make one with: tandem index build SOURCE -o {path}"
        )
    if not path.is_dir():
        raise IndexFolderError(f"{path}: a file, not an index folder")
    try:
        if file.stat().st_size > _MAX_MANIFEST:
            raise IndexFolderError(f"{file}: larger than any manifest; this is no index folder")
        values = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        unfinished = (
            " (a build was interrupted here; run it again to finish it)"
            if (path / "journal").is_dir()
            else ""
        )
        raise IndexFolderError(
            f"{path}: not an index folder, it has no {MANIFEST}{unfinished}"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise IndexFolderError(
            f"{file}: damaged: {error}; see: tandem index verify {path}"
        ) from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        found = values.get("format") if isinstance(values, dict) else type(values).__name__
        raise IndexFolderError(
            f"{file}: format {found!r}; this version of Tandem reads format {FORMAT}"
        )
    if values.pop("checksum", None) != _checksum(values):
        raise IndexFolderError(
            f"{file}: damaged: its checksum is wrong; see: tandem index verify {path}"
        )
    try:
        manifest = parse(Manifest, values, str(file))
    except TandemError as error:
        raise IndexFolderError(f"{file}: damaged: {error}") from error
    names = [s.folder for s in manifest.segments] + [manifest.deletions, manifest.lexical_folder]
    names += [*manifest.files, *([manifest.dense_index.file] if manifest.dense_index.file else [])]
    for name in names:
        if not _SAFE.fullmatch(name) or ".." in name.split("/"):
            raise IndexFolderError(
                f"{file}: the name {name!r} leaves the folder; this index is not to be trusted"
            )
    return manifest


# -- reading ---------------------------------------------------------------------------------------


class IndexFolder:
    """One commit of an index folder, open. A later commit does not disturb it; `is_current` tells of one."""

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        encoder: Encoder,
        store: Store,
        dense: DenseIndex,
        lexical: Index,
    ) -> None:
        self.path = path
        self.manifest = manifest
        self.encoder = encoder
        self.store = store
        self.dense = dense
        self.lexical = lexical

    @classmethod
    def open(
        cls, path: str | Path, encoder: Encoder | None = None, device: str = "auto"
    ) -> IndexFolder:
        """The newest commit. `encoder` None: the one the index was written with, opened again.

        Raises IndexFolderError when the folder is no index, is damaged, or is of another encoder.
        """
        path = Path(path)
        for attempt in range(8):
            manifest = read_manifest(path)
            try:
                return cls._open(path, manifest, encoder, device)
            except FileNotFoundError as error:
                # a writer committed and removed the old files between our two steps
                if attempt == 7 or read_manifest(path).generation == manifest.generation:
                    raise IndexFolderError(
                        f"{path}: damaged: {Path(str(error.filename)).name} is missing; see: tandem index verify {path}"
                    ) from error
        raise AssertionError

    @classmethod
    def _open(
        cls, path: Path, manifest: Manifest, encoder: Encoder | None, device: str
    ) -> IndexFolder:
        for name, written in manifest.files.items():
            size = (path / name).stat().st_size
            if size != written.size:
                raise IndexFolderError(
                    f"{path / name}: damaged: {size:,} bytes, but {written.size:,} were written; "
                    f"see: tandem index verify {path}"
                )
        entry = manifest.encoder
        if encoder is None:
            encoder = open_encoder(
                entry.model,
                device=device,
                query_prompt=entry.query_prompt,
                passage_prompt=entry.passage_prompt,
            )
        if encoder.fingerprint != entry.fingerprint:
            raise IndexFolderError(
                f"{path}: written with the encoder {entry.name} (fingerprint {entry.fingerprint}), not with "
                f"{encoder.name} (fingerprint {encoder.fingerprint}); open it with that one, or build it again"
            )
        try:
            deleted = np.load(path / manifest.deletions, allow_pickle=False)
            folders = [path / segment.folder for segment in manifest.segments]
            store = Store(folders, entry.dim, deleted)
            dense = DenseIndex(
                store,
                encoder,
                manifest.dense_index.factory,
                path / manifest.dense_index.file if manifest.dense_index.file else None,
                manifest.dense_index.covered,
                manifest.dense.probes,
                entry.background,
                device,
            )
            lexical = _open_lexical(path, manifest, store)
        except FileNotFoundError:
            raise
        except (ValueError, OSError) as error:  # numpy, sqlite3 and tantivy on a damaged file
            raise IndexFolderError(
                f"{path}: damaged: {error}; see: tandem index verify {path}"
            ) from error
        return cls(path, manifest, encoder, store, dense, lexical)

    @property
    def languages(self) -> list[str]:
        return list(self.manifest.languages)

    def is_current(self) -> bool:
        """Whether no later commit has been made."""
        return read_manifest(self.path).generation == self.manifest.generation

    def close(self) -> None:
        self.store.close()

    def __len__(self) -> int:
        return self.manifest.documents

    def documents(self, ids: Sequence[str]) -> dict[str, Document]:
        """The live documents among these ids."""
        numbers = {entry[0]: id_ for id_, entry in self.store.find(ids).items()}
        return {
            numbers[number]: document for number, document in self.store.documents(numbers).items()
        }

    def document_ids(self) -> Iterator[str]:
        return (document.id for document, *_ in self.store.live())

    def passages(self, document_ids: Sequence[str]) -> dict[str, list[str]]:
        """Passage ids of each live document, in the order of its text."""
        found = self.store.find(document_ids)
        return {
            id_: [str(row) for row in range(row, row + count)]
            for id_, (_, row, count, _) in found.items()
        }

    def document_of(self, passage_ids: Sequence[str]) -> list[str]:
        """The document id of each passage."""
        numbers = self.store.documents_of(
            np.array([int(id_) for id_ in passage_ids], np.int64)
        ).tolist()
        ids = self.store.ids(set(numbers))
        return [ids[number] for number in numbers]

    def languages_of(self, passage_ids: Sequence[str]) -> list[str]:
        """The language code of each passage's document."""
        codes = self.store.passages["lang"][np.array([int(id_) for id_ in passage_ids], np.int64)]
        return [code.decode() for code in codes.tolist()]

    def check_where(self, where: Where | None) -> None:
        """Raises ConfigError for a filter on a language nobody knows."""
        from indexer import languages

        if where is not None:
            languages.check(where.langs)


def passage_texts(title: str, text: str, spans: Sequence[tuple[int, int]]) -> list[str]:
    """What is encoded and analysed for each passage: the title, a line break, the slice of the text."""
    if title:
        return [f"{title}\n{text[start:end]}" for start, end in spans]
    return [text[start:end] for start, end in spans]


def _open_lexical(path: Path, manifest: Manifest, store: Store) -> Index:
    langs = list(manifest.languages)
    weight = manifest.lexical.stem_weight
    if manifest.lexical.backend == "tantivy":
        return LexicalIndex(path / manifest.lexical_folder, langs, weight)
    from indexer.analysis import analyse

    def analysed() -> Iterator[tuple[int, Any]]:
        for document, _, row, count in store.live():
            spans = [(int(p["start"]), int(p["end"])) for p in store.passages[row : row + count]]
            for i, text in enumerate(passage_texts(document.title, document.text, spans)):
                yield row + i, analyse(text, document.lang)

    return RankBM25Index(analysed(), store, langs, weight)


# -- writing ---------------------------------------------------------------------------------------


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
        raise IndexFolderError(f"{path}: being written by {who}; wait for it, or end it") from None
    except (OSError, NotImplementedError) as error:
        raise IndexFolderError(
            f"{path}: cannot be written: {error}; choose a folder you may write to"
        ) from error
    try:
        owner = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "user": _user(),
            "purpose": purpose,
            "since": time.strftime("%Y-%m-%d %H:%M:%S"),
        }
        (path / "lock.json").write_text(json.dumps(owner), "utf-8")
        yield
    finally:
        with contextlib.suppress(OSError):
            (path / "lock.json").unlink(missing_ok=True)
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
    if not keep_journal:
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


def _ours(name: str) -> bool:
    """Whether a writer of ours made an entry of this name; a person's own files are left alone."""
    return bool(
        re.fullmatch(
            r"(segment|lexical|dense|deleted|merged)-\d+.*|journal|manifest\.json\.new", name
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


def _hash(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def commit(path: Path, manifest: Manifest, base: Manifest | None) -> Manifest:
    """Make `manifest` the folder's newest commit: hash and sync its files, then rename it into place.

    Files that `base` vouches for already, by name and size, are not read again.
    """
    roots = [segment.folder for segment in manifest.segments] + [manifest.deletions]
    if manifest.lexical.backend == "tantivy":
        roots.append(manifest.lexical_folder)
    if manifest.dense_index.file is not None:
        roots.append(manifest.dense_index.file)
    files: dict[str, FileEntry] = {}
    known = {} if base is None else base.files
    # A hard-linked tantivy file has the name that it had in the folder before.
    linked = {
        name.partition("/")[2]: entry
        for name, entry in known.items()
        if name.startswith("lexical-")
    }
    for root in roots:
        top = path / root
        entries = sorted(p for p in top.rglob("*") if p.is_file()) if top.is_dir() else [top]
        for file in entries:
            name = file.relative_to(path).as_posix()
            size = file.stat().st_size
            entry = known.get(name)
            if entry is None and root.startswith("lexical-") and file.suffix != ".json":
                entry = linked.get(file.name)
            if entry is None or entry.size != size:
                _sync(file)
                entry = FileEntry(size, _hash(file))
            files[name] = entry
        if top.is_dir():
            _sync(top)
    reached("files synced")
    manifest = dataclasses.replace(manifest, files=files)
    values = dataclasses.asdict(manifest)
    values["checksum"] = _checksum(json.loads(json.dumps(values)))
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
