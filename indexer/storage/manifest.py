"""The manifest of an index folder: what one commit is, and whether what it says can be true at all.

A manifest comes from a file that anyone may have written. It is read within bounds, its checksum is
compared, and no name in it leads out of the folder. Whether the files are as it says is for
`indexer.verify` to find out.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from configs.errors import IndexFolderError, TandemError
from configs.settings import DenseSettings, LexicalSettings, PassageSettings, parse
from indexer.schema import FieldKind
from indexer.storage.passage_tokens import TOKEN_FILES

__all__ = [
    "FORMAT",
    "MANIFEST",
    "MAX_DIM",
    "SEGMENT_FILES",
    "AlignmentEntry",
    "DenseEntry",
    "EncoderEntry",
    "FieldEntry",
    "FileEntry",
    "Manifest",
    "SegmentEntry",
    "checksum",
    "forbidden",
    "read_manifest",
    "refuse_links",
]

FORMAT = 1
MANIFEST = "manifest.json"
SEGMENT_FILES = ("documents.sqlite", "passages.npy", "vectors.f32")
MAX_DIM = 65_536
_MAX_MANIFEST = 16 * 2**20  # bytes
_SAFE = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*(/[A-Za-z0-9_.][A-Za-z0-9_.-]*)*")
_named = re.compile(r"(segment|merged)-\d{1,18}").fullmatch


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
    """Mean cosine of a query and a passage unrelated to it; the dense score counts from it."""
    neutral: bool = False
    """Whether the languages were taken out of its vectors (`encoder.neutral`); not said where its weights hold it."""


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
class AlignmentEntry:
    """The static student whose tokens every segment holds (`indexer.storage.passage_tokens`)."""

    name: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class FileEntry:
    """Size in bytes and SHA-256 of a file of a commit."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class FieldEntry:
    """A field that documents have: what all its values are (`indexer.text.field_values.Seen`), and what a
    person said they are.
    """

    seen: Literal["", "year", "number", "date", "keyword"] = ""
    declared: FieldKind | None = None


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
    fields: Mapping[str, FieldEntry] = field(default_factory=dict)
    """The documents' own fields."""
    analysis: int = 1
    """How its texts became words: `indexer.text.analysis.ANALYSIS` of the Tandem that indexed the oldest of them."""
    alignment: AlignmentEntry | None = None
    """None: the segments hold no tokens, and words are not aligned."""
    files: Mapping[str, FileEntry] = field(default_factory=dict)
    """Every file of the commit, by its path in the folder."""

    def roots(self) -> list[str]:
        """The entries of the folder that this commit is made of."""
        roots = [*(segment.folder for segment in self.segments), self.deletions]
        if self.lexical.backend == "tantivy":
            roots.append(self.lexical_folder)
        if self.dense_index.file is not None:
            roots.append(self.dense_index.file)
        return roots


def checksum(values: Mapping[str, Any]) -> str:
    """Of a manifest's values as JSON gives them back, without the checksum itself."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def forbidden(path: Path, error: PermissionError) -> IndexFolderError:
    """A file that this user may not read is not a damaged one."""
    return IndexFolderError(
        f"{error.filename or path}: this user may not read it; give them the right: chmod -R a+rX {path}"
    )


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
        values = _values(file)
    except FileNotFoundError:
        unfinished = (
            " (a build was interrupted here; run it again to finish it)"
            if (path / "journal").is_dir()
            else ""
        )
        raise IndexFolderError(
            f"{path}: not an index folder, it has no {MANIFEST}{unfinished}"
        ) from None
    except PermissionError as error:
        raise forbidden(path, error) from error
    except (OSError, ValueError, RecursionError) as error:
        raise IndexFolderError(
            f"{file}: damaged: {error}; see: tandem index verify {path}"
        ) from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        found = values.get("format") if isinstance(values, dict) else type(values).__name__
        raise IndexFolderError(
            f"{file}: format {found!r}; this version of Tandem reads format {FORMAT}"
        )
    if values.pop("checksum", None) != checksum(values):
        raise IndexFolderError(
            f"{file}: damaged: its checksum is wrong; see: tandem index verify {path}"
        )
    try:
        manifest = parse(Manifest, values, str(file))
    except TandemError as error:
        raise IndexFolderError(f"{file}: damaged: {error}") from error
    for name in [*manifest.roots(), manifest.lexical_folder, *manifest.files]:
        if not _SAFE.fullmatch(name) or ".." in name.split("/"):
            raise IndexFolderError(
                f"{file}: the name {name!r} leaves the folder; this index is not to be trusted"
            )
    problem = next(_contradictions(manifest), None)
    if problem is not None:
        raise IndexFolderError(f"{file}: damaged: {problem}; see: tandem index verify {path}")
    return manifest


def _values(file: Path) -> Any:
    """The JSON of a manifest, of which no more is read than a manifest can have."""
    if not stat.S_ISREG(file.stat().st_mode):
        raise ValueError("no regular file")
    with file.open("rb") as opened:
        data = opened.read(_MAX_MANIFEST + 1)
    if len(data) > _MAX_MANIFEST:
        raise ValueError(f"more than {_MAX_MANIFEST:,} bytes, larger than any manifest")
    return json.loads(data.decode("utf-8"))


def _contradictions(manifest: Manifest) -> Iterator[str]:
    """Where a manifest disagrees with itself, before any file of the commit is opened."""
    dim, files = manifest.encoder.dim, manifest.files
    if not 1 <= dim <= MAX_DIM:
        yield f"encoder.dim is {dim}"
    counts = [
        ("generation", manifest.generation),
        ("documents", manifest.documents),
        ("passages", manifest.passages),
        ("deleted", manifest.deleted),
        ("dense_index.covered", manifest.dense_index.covered),
        ("analysis", manifest.analysis),
    ]
    counts += [(f"languages.{lang}", n) for lang, n in manifest.languages.items()]
    counts += [(f"{s.folder}.documents", s.documents) for s in manifest.segments]
    counts += [(f"{s.folder}.passages", s.passages) for s in manifest.segments]
    counts += [(f"the size of {name}", entry.size) for name, entry in files.items()]
    yield from (f"{name} is {n}" for name, n in counts if n < 0)
    needed = [f"{s.folder}/{name}" for s in manifest.segments for name in SEGMENT_FILES]
    if manifest.alignment is not None:
        needed += [f"{s.folder}/{name}" for s in manifest.segments for name in TOKEN_FILES]
    needed.append(manifest.deletions)
    if manifest.lexical.backend == "tantivy":
        needed.append(f"{manifest.lexical_folder}/meta.json")
    if manifest.dense_index.file is not None:
        needed.append(manifest.dense_index.file)
    yield from (f"{name} is not among its files" for name in needed if name not in files)
    for segment in manifest.segments:
        entry = files.get(f"{segment.folder}/vectors.f32")
        expected = segment.passages * dim * 4
        if entry is not None and entry.size != expected:
            yield (
                f"{segment.folder}/vectors.f32 has {entry.size:,} bytes, "
                f"but {segment.passages:,} passages of {dim} dimensions have {expected:,}"
            )
    commits = [int(s.folder.rpartition("-")[2]) for s in manifest.segments if _named(s.folder)]
    if len(commits) != len(manifest.segments) or commits != sorted(set(commits)):
        yield f"its segments ({', '.join(s.folder for s in manifest.segments)}) are out of order"
    rows = sum(segment.passages for segment in manifest.segments)
    if manifest.passages + manifest.deleted != rows:
        yield (
            f"{manifest.passages:,} passages and {manifest.deleted:,} deleted ones, "
            f"but its segments have {rows:,}"
        )
    if manifest.dense_index.covered > rows:
        yield f"the FAISS file is for {manifest.dense_index.covered:,} passages, there are {rows:,}"
    total = sum(manifest.languages.values())
    if total != manifest.documents:
        yield f"{manifest.documents:,} documents, but those of its languages are {total:,}"


def refuse_links(path: Path, manifest: Manifest) -> None:
    """IndexFolderError when anything the manifest leads to is really a link out of the folder."""
    home = path.resolve()
    for root in manifest.roots():
        top = path / root
        for entry in (top, *top.rglob("*")):
            if entry.is_symlink() and not entry.resolve().is_relative_to(home):
                raise IndexFolderError(
                    f"{entry}: a link to {entry.resolve()}, out of the index folder; "
                    "this index is not to be trusted"
                )
