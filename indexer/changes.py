"""Building, adding to and deleting from an index, wherever it stands: what the command line and Python do alike.

A place is a folder, or `es://NAME` in Elasticsearch. Input that cannot be used is set aside in a file, and
the rest is indexed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.errors import DocumentError
from configs.progress import Bar, no_bar
from configs.settings import AUTO, EncoderSettings, Settings
from indexer.build import ChangeReport, add_documents, build_index, delete_documents
from indexer.elastic.address import is_address, name_in
from indexer.encoders.opening import choose_encoder, named_encoder, open_encoder
from indexer.incoming import Progress
from indexer.schema import Document, Encoder
from indexer.storage.manifest import read_manifest
from indexer.sync import SyncReport, sync_folder, sync_with
from indexer.text.records import Columns, OwnFields, document_of
from indexer.text.rejects import OnReject, Reject, RejectLog
from indexer.text.sources import ReadNotes, ReadOptions, count_bytes, read_documents
from indexer.threads import cores
from indexer.verify import recover_documents

__all__ = [
    "Change",
    "FolderSync",
    "Record",
    "Sources",
    "Synced",
    "add",
    "add_records",
    "build",
    "delete",
    "delete_known",
]

Record = Document | Mapping[str, Any]
"""A document, or a mapping with an id, a text and, where there are any, title, url, lang and other fields."""

Sources = str | Path | Record | Iterable[str | Path | Record]
"""Files and folders, or the documents themselves; not both at once."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a build or an addition did, and what a person should know of it."""

    report: ChangeReport
    notes: Sequence[str]
    """Of how the sources were read, a sentence each."""
    rejects: Sequence[str]
    """What was set aside, a line for each file."""
    rejects_file: Path
    """Where that lies; only where something was set aside."""
    unsearched: Sequence[str] = ()
    """Fields that hold running text and are not searched."""


def build(
    place: str | Path,
    sources: Sources,
    settings: Settings,
    encoder: Encoder | None = None,
    *,
    read: ReadOptions | None = None,
    recover: str | None = None,
    overwrite: bool = False,
    restart: bool = False,
    strict: bool = False,
    bar: Bar = no_bar,
    tell: Callable[[str], None] = lambda line: None,
) -> Change:
    """Build an index of `sources`, after the documents of the index `recover` where one is named.

    `encoder` None: the one that the settings name. `tell` is told what cannot be read of `recover`. Raises DocumentError, with what was set aside as its
    notes, when no document could be used, and what `build_index` and `build_in_cluster` raise.
    """
    before = None if recover is None else _recovered(recover, settings, tell)
    with _reading(place, sources, read, strict, bar, "indexing", before) as reading:
        shared: dict[str, Any] = {
            "query_prompt": settings.encoder.query_prompt,
            "passage_prompt": settings.encoder.passage_prompt,
            "passages": settings.passages,
            "lexical": settings.lexical,
            "on_reject": reading.rejects,
            "progress": reading.progress,
            "overwrite": overwrite,
            "restart": restart,
            "workers": _workers(),
        }
        if encoder is None:
            chosen, documents = _chosen(settings, reading.documents, tell)
            reading = dataclasses.replace(reading, documents=documents)
            encoder = open_encoder(**dataclasses.asdict(chosen))
            shared["model"] = _kept(chosen.model)
        if is_address(place):
            from indexer.cluster_build import build_in_cluster

            cluster = settings.elasticsearch
            report = build_in_cluster(
                str(place), reading.documents, encoder, settings=cluster, kinds=settings.fields,
                **shared,
            )  # fmt: skip
        else:
            device = settings.encoder.device
            report = build_index(
                place, reading.documents, encoder, dense=settings.dense, kinds=settings.fields,
                device=device, **shared,
            )  # fmt: skip
        return reading.change(report)


def add(
    place: str | Path,
    sources: Sources,
    settings: Settings,
    encoder: Encoder | None = None,
    *,
    read: ReadOptions | None = None,
    restart: bool = False,
    strict: bool = False,
    bar: Bar = no_bar,
) -> Change:
    """Add documents to an index; one with a known id replaces it, an unchanged one is passed over.

    `encoder` None: the one that the settings name, else the index's own. Raises as `build`.
    """
    if not is_address(place):
        read_manifest(Path(place))  # a folder that is no index is refused before anything is read
    with _reading(place, sources, read, strict, bar, "adding") as reading:
        shared: dict[str, Any] = {
            "on_reject": reading.rejects,
            "progress": reading.progress,
            "workers": _workers(),
            "device": settings.encoder.device,
        }
        encoder = encoder or named_encoder(settings.encoder)
        if is_address(place):
            from indexer.cluster_build import add_to_cluster

            cluster = settings.elasticsearch
            report = add_to_cluster(
                str(place), reading.documents, encoder, settings=cluster, kinds=settings.fields,
                **shared,
            )  # fmt: skip
        else:
            report = add_documents(
                place, reading.documents, encoder, restart=restart, kinds=settings.fields, **shared
            )
        return reading.change(report)


def delete(place: str | Path, ids: Sequence[str], settings: Settings) -> ChangeReport:
    """Delete documents. DocumentError, and nothing done, when one of the ids is not in the index."""
    if is_address(place):
        from indexer.cluster_build import delete_from_cluster

        return delete_from_cluster(str(place), ids, settings.elasticsearch)
    return delete_documents(place, ids)


def add_records(
    place: str | Path,
    records: Iterable[Record | None],
    settings: Settings,
    encoder: Encoder,
    *,
    purpose: str,
    on_reject: OnReject,
    progress: Progress | None = None,
) -> ChangeReport:
    """Add documents that a program sent; what cannot be used goes to `on_reject` and into no file.

    None among the records is one that was set aside before: it counts for the places of the others.
    `purpose` is what another writer is told of this one. No process is started.
    """
    documents = _documents(records, on_reject, Columns(), OwnFields())
    if is_address(place):
        from indexer.cluster_build import add_to_cluster

        return add_to_cluster(
            str(place), documents, encoder, settings=settings.elasticsearch,
            kinds=settings.fields, on_reject=on_reject, progress=progress,
        )  # fmt: skip
    return add_documents(
        place, documents, encoder, kinds=settings.fields, on_reject=on_reject, progress=progress,
        device=settings.encoder.device, purpose=purpose,
    )  # fmt: skip


def delete_known(
    place: str | Path, ids: Sequence[str], settings: Settings, encoder: Encoder, purpose: str
) -> ChangeReport:
    """Delete those of these documents that are in the index; the others are passed over."""
    if is_address(place):
        from indexer.cluster_build import add_to_cluster

        cluster = settings.elasticsearch
        return add_to_cluster(str(place), (), encoder, gone=lambda: ids, settings=cluster)
    return add_documents(
        place, (), encoder, gone=lambda: ids, purpose=purpose, device=settings.encoder.device
    )


@dataclass(frozen=True, slots=True)
class Synced:
    """What one run of a `FolderSync` did, and what a person should know of it."""

    report: SyncReport
    notes: Sequence[str]
    rejects: Sequence[str]
    rejected: int
    rejects_file: Path


class FolderSync:
    """Keeps an index in step with a folder of files: each `run` follows what has changed there."""

    def __init__(
        self,
        place: str | Path,
        folder: str,
        settings: Settings,
        *,
        read: ReadOptions | None = None,
        allow_empty: bool = False,
    ) -> None:
        self._place, self._folder, self._settings = place, folder, settings
        self._read = read or ReadOptions()
        self._allow_empty = allow_empty
        self._encoder: Encoder | None = None  # opened once, however often the folder changes

    def run(self) -> Synced:
        """Read what is new, changed or gone; one commit, or none where nothing is. Raises as `sync_folder`."""
        notes = ReadNotes()
        rejects = RejectLog(_rejects_file(self._place))
        with _explaining(rejects):
            report = self._synced(rejects, notes)
            rejects.save()
            return Synced(report, notes.lines(), rejects.lines(), rejects.count, rejects.path)

    def _synced(self, rejects: RejectLog, notes: ReadNotes) -> SyncReport:
        place, settings, device = self._place, self._settings, self._settings.encoder.device
        encoder = self._encoder or named_encoder(settings.encoder)
        shared: dict[str, Any] = {
            "options": self._read,
            "build": self._build,
            "allow_empty": self._allow_empty,
            "on_reject": rejects,
            "notes": notes,
        }
        if is_address(place):
            from indexer.cluster_sync import ClusterTarget

            cluster, kinds = settings.elasticsearch, settings.fields
            target = ClusterTarget.open(str(place), cluster, encoder, kinds, _workers(), device)
            with target.alone():
                return sync_with(target, self._folder, **shared)
        return sync_folder(
            place, self._folder, encoder, kinds=settings.fields, workers=_workers(), device=device,
            **shared,
        )  # fmt: skip

    def _build(self, documents: Iterable[Document], on_reject: OnReject) -> ChangeReport:
        """The first run makes the index."""
        settings = self._settings
        chosen, documents = _chosen(settings, documents)
        self._encoder = open_encoder(**dataclasses.asdict(chosen))
        shared: dict[str, Any] = {
            "model": _kept(chosen.model),
            "query_prompt": settings.encoder.query_prompt,
            "passage_prompt": settings.encoder.passage_prompt,
            "passages": settings.passages,
            "lexical": settings.lexical,
            "kinds": settings.fields,
            "on_reject": on_reject,
            "workers": _workers(),
        }
        if is_address(self._place):
            from indexer.cluster_build import build_in_cluster

            cluster = settings.elasticsearch
            address = str(self._place)
            return build_in_cluster(address, documents, self._encoder, settings=cluster, **shared)
        device = settings.encoder.device
        return build_index(
            self._place, documents, self._encoder, dense=settings.dense, device=device, **shared
        )


def _chosen(
    settings: Settings,
    documents: Iterable[Document],
    tell: Callable[[str], None] = lambda line: None,
) -> tuple[EncoderSettings, Iterator[Document]]:
    """The encoder of the settings, `auto` decided by the documents; and the documents again."""
    if settings.encoder.model != AUTO:
        return settings.encoder, iter(documents)
    model, documents = choose_encoder(documents, settings.passages.size)
    if model == "accurate":
        tell(
            "encoder: accurate (up to 10,000 passages); --encoder fast is some hundred times faster"
        )
    else:
        tell(
            "encoder: fast (more than 10,000 passages); --encoder accurate finds more, and takes longer"
        )
    return dataclasses.replace(settings.encoder, model=model), documents


@contextlib.contextmanager
def _explaining(rejects: RejectLog) -> Iterator[None]:
    """A DocumentError gets what was set aside as its notes: no document could be used, and this is why."""
    try:
        yield
    except DocumentError as error:
        for line in rejects.lines():
            error.add_note(f"set aside: {line}")
        raise
    finally:
        rejects.close()


@dataclass(frozen=True, slots=True)
class _Reading:
    """Documents on their way into an index."""

    documents: Iterator[Document]
    rejects: RejectLog
    notes: ReadNotes
    progress: Any
    """Told how many documents were done; None where the bar counts the bytes read."""

    def change(self, report: ChangeReport) -> Change:
        """The change that `report` tells of. Writes the file of what was set aside."""
        self.rejects.save()
        report = dataclasses.replace(report, rejected=self.rejects.count)
        notes, rejects = self.notes, self.rejects
        return Change(report, notes.lines(), rejects.lines(), rejects.path, notes.unsearched)


@contextlib.contextmanager
def _reading(
    place: str | Path,
    sources: Sources,
    read: ReadOptions | None,
    strict: bool,
    bar: Bar,
    label: str,
    before: Iterator[Document] | None = None,
) -> Iterator[_Reading]:
    """The documents of `sources`, after those that come `before`; says what was set aside where none is left."""
    read, notes = read or ReadOptions(), ReadNotes()
    paths, records = _paths_or_records(sources)
    # bytes of the sources, where they can be counted beforehand; documents otherwise
    size = None if before is not None or records else count_bytes(paths, read.ignore) or None
    rejects = RejectLog(_rejects_file(place), strict)
    with _explaining(rejects), bar(label, size, size is None) as done:
        documents = read_documents(
            paths, rejects, done if size else None, options=read, notes=notes
        )
        if records:
            given = (_NOTHING if record is None else record for record in records)
            documents = _documents(given, rejects, read.columns, notes.own)
        documents = itertools.chain(before or (), documents)
        yield _Reading(documents, rejects, notes, None if size else done)


_NOTHING: Any = object()


def _paths_or_records(sources: Sources) -> tuple[list[str], Iterable[Record]]:
    """The files and folders, or the documents: one of the two is empty."""
    if isinstance(sources, str | Path):
        return [str(sources)], ()
    if isinstance(sources, Document | Mapping):
        return [], [sources]
    stream: Iterator[Any] = iter(sources)
    first = next(stream, _NOTHING)
    if first is _NOTHING:
        return [], ()
    whole: Iterable[Any] = itertools.chain([first], stream)
    if isinstance(first, str | Path):
        paths = list(whole)
        for path in paths:
            if not isinstance(path, str | Path):
                raise DocumentError(
                    f"sources: a {type(path).__name__} among paths; give paths or documents, not both"
                )
        return list(map(str, paths)), ()
    return [], whole


def _documents(
    records: Iterable[Record | None], on_reject: OnReject, columns: Columns, own: OwnFields
) -> Iterator[Document]:
    """Documents as they are, mappings as documents; places count from 1. None was set aside before."""
    for number, record in enumerate(records, 1):
        place = f"document {number:,}"
        if record is None:
            continue
        if isinstance(record, Document):
            if wrong := _wrong(record):
                on_reject(Reject(place, wrong, repr(record)[:2000]))
            else:
                yield record
        elif isinstance(record, Mapping):
            try:
                yield document_of(record, columns, own, place=place)
            except ValueError as error:
                on_reject(Reject(place, str(error), repr(record)[:2000]))
        else:
            kind = "None" if record is _NOTHING else type(record).__name__
            on_reject(Reject(place, f"a Document or a mapping is expected, not {kind}"))


def _wrong(document: Document) -> str:
    """What of a document is not of its type; empty where all is."""
    parts = {"id": document.id, "text": document.text, "title": document.title, "url": document.url, "lang": document.lang}  # fmt: skip
    if isinstance(document.fields, Mapping):
        parts |= {f"the field {name}": value for name, value in document.fields.items()}
    else:
        return f"fields must be a mapping of texts, not {type(document.fields).__name__}"
    for name, value in parts.items():
        if not isinstance(value, str):
            return f"{name} must be a text (str), not {type(value).__name__}; a mapping may hold numbers"
    return ""


def _recovered(place: str, settings: Settings, tell: Callable[[str], None]) -> Iterator[Document]:
    """The documents of another index, as far as they can be read."""
    if is_address(place):
        from indexer.cluster_verify import documents_in

        yield from documents_in(place, settings.elasticsearch)
    else:
        yield from recover_documents(place, tell)


def _rejects_file(place: str | Path) -> Path:
    """In the index folder; for an index in a cluster, in the working directory."""
    if is_address(place):
        return Path(f"{name_in(str(place))}.rejects.jsonl")
    return Path(place) / "rejects.jsonl"


def _workers() -> int:
    """Processes beside this one; none on a single core."""
    return min(4, cores()) if cores() > 1 else 0


def _kept(model: str) -> str:
    """The model as the index names it: a folder by its full path, so that it opens from anywhere."""
    return str(Path(model).resolve()) if Path(model).is_dir() else model
