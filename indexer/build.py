"""Building, adding to, deleting from and compacting an index folder: each is one commit, or nothing.

Documents flow through: checked -> unchanged ones passed over -> language and passages (in worker
processes, when asked for) -> encoded through the journal -> written to a new segment and to tantivy.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import itertools
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from configs.errors import DocumentError, IndexFolderError
from configs.settings import DenseSettings, LexicalSettings, PassageSettings
from indexer import prepare
from indexer.aligned_tokens import encoded, same_tokens, tokens_of
from indexer.commit_writer import CommitWriter
from indexer.folder import IndexFolder
from indexer.incoming import Incoming, Progress
from indexer.prepare import Hashed, Prepared, prepared_batches
from indexer.schema import Document, Encoder, FieldKind
from indexer.storage import commit
from indexer.storage.journal import Journal
from indexer.storage.manifest import (
    FORMAT,
    DenseEntry,
    EncoderEntry,
    Manifest,
    read_manifest,
)
from indexer.text.analysis import ANALYSIS, analyse_all
from indexer.text.passages import passage_texts
from indexer.text.rejects import OnReject
from indexer.written_encoder import described

__all__ = ["ChangeReport", "add_documents", "build_index", "compact", "delete_documents"]


@dataclass(frozen=True, slots=True)
class ChangeReport:
    """What one command did to an index."""

    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    deleted: int = 0
    rejected: int = 0
    passages: int = 0
    """Passages written."""
    encoded: int = 0
    """Passages encoded now; the others were in the journal of an interrupted build."""
    documents: int = 0
    """Documents in the index afterwards."""
    seconds: float = 0.0
    generation: int = 0


def build_index(
    path: str | Path,
    documents: Iterable[Document],
    encoder: Encoder,
    *,
    model: str | None = None,
    query_prompt: str | None = None,
    passage_prompt: str | None = None,
    passages: PassageSettings | None = None,
    lexical: LexicalSettings | None = None,
    dense: DenseSettings | None = None,
    kinds: Mapping[str, FieldKind] | None = None,
    on_reject: OnReject | None = None,
    progress: Progress | None = None,
    overwrite: bool = False,
    restart: bool = False,
    workers: int = 0,
    device: str = "auto",
) -> ChangeReport:
    """Build an index folder from documents; committed whole at the end, resumed when it was interrupted.

    `model` is what the encoder is opened by next time (default: its name). `workers` processes find
    languages, passages and terms; 0: this one does. `kinds` declares what fields hold; the others' kinds
    are those of their values. Raises IndexFolderError when there is an index
    already (unless `overwrite`) or a build with other settings was interrupted (unless `restart`), and
    DocumentError when no document could be used.
    """
    path = Path(path)
    stream = iter(documents)
    first = next(stream, None)  # a source that does not exist fails here, before a folder is made
    entry = described(encoder, model, query_prompt, passage_prompt)
    if path.exists() and not path.is_dir():
        raise IndexFolderError(f"{path}: a file stands there; choose another folder for the index")
    present = (path / "manifest.json").exists()
    if present and not overwrite:
        raise IndexFolderError(
            f"{path}: holds an index already; use `tandem index add` to add to it, or --overwrite to replace it"
        )
    commit.refuse_foreign(path)
    if first is None:
        raise DocumentError("no document could be used; nothing was indexed")
    with commit.locked(path, "index build"):
        old = read_manifest(path) if present else None
        blank = Manifest(
            format=FORMAT,
            generation=0 if old is None else old.generation,
            created="",
            encoder=entry,
            documents=0,
            passages=0,
            deleted=0,
            languages={},
            segments=(),
            deletions="",
            lexical_folder="",
            dense_index=DenseEntry(),
            passage_settings=passages or PassageSettings(),
            lexical=lexical or LexicalSettings(),
            dense=dense or DenseSettings(),
            analysis=ANALYSIS,
        )
        commit.sweep(path, old, keep_journal=not restart)
        writer = CommitWriter.begin(path, blank, old, None, device, kinds)
        documents = itertools.chain([first], stream)
        return _add(writer, documents, encoder, on_reject, progress, workers)


def add_documents(
    path: str | Path,
    documents: Iterable[Document],
    encoder: Encoder | None = None,
    *,
    gone: Callable[[], Collection[str]] = tuple,
    kinds: Mapping[str, FieldKind] | None = None,
    on_reject: OnReject | None = None,
    progress: Progress | None = None,
    restart: bool = False,
    workers: int = 0,
    device: str = "auto",
    purpose: str = "index add",
) -> ChangeReport:
    """Add documents to an index; one with a known id replaces it, an unchanged one is passed over.

    `gone` is asked, when all documents were read, for ids to delete in the same commit; those that are not
    in the index are passed over. Resumed when it was interrupted; `restart` discards what an interrupted
    build or add encoded. `purpose` is what another writer is told of this one.
    """
    path = Path(path)
    stream = iter(documents)
    first = next(stream, None)
    read_manifest(path)  # a folder that is no index is told so, and not locked
    with (
        commit.locked(path, purpose),
        contextlib.closing(IndexFolder.open(path, encoder, device)) as base,
    ):
        commit.sweep(path, base.manifest, keep_journal=not restart)
        if first is None and not gone():
            return ChangeReport(
                documents=base.manifest.documents, generation=base.manifest.generation
            )
        writer = CommitWriter.begin(path, base.manifest, base.manifest, base, device, kinds)
        documents = itertools.chain([] if first is None else [first], stream)
        return _add(writer, documents, base.encoder, on_reject, progress, workers, gone)


def delete_documents(
    path: str | Path, ids: Sequence[str], encoder: Encoder | None = None
) -> ChangeReport:
    """Mark documents deleted. DocumentError, and nothing done, when one of the ids is not in the index."""
    path = Path(path)
    read_manifest(path)
    start = time.perf_counter()
    with (
        commit.locked(path, "index delete"),
        contextlib.closing(_open_unread(path, encoder)) as base,
    ):
        commit.sweep(path, base.manifest)
        wanted = list(dict.fromkeys(ids))
        found = base.store.find(wanted)
        missing = [id_ for id_ in wanted if id_ not in found]
        if missing:
            shown = ", ".join(repr(id_) for id_ in missing[:5]) + (
                " ..." if len(missing) > 5 else ""
            )
            raise DocumentError(f"{path}: not in the index: {shown}; nothing was deleted")
        writer = CommitWriter.begin(path, base.manifest, base.manifest, base, "cpu")
        with writer.abandoned_on_error():
            for id_, place in found.items():
                writer.retire(id_, place)
            manifest = writer.finish(keep_journal=True)
        return ChangeReport(
            deleted=len(found),
            documents=manifest.documents,
            seconds=time.perf_counter() - start,
            generation=manifest.generation,
        )


def compact(
    path: str | Path, *, progress: Progress | None = None, device: str = "auto"
) -> ChangeReport:
    """Rewrite an index as one segment without its deleted documents; nothing is encoded again."""
    path = Path(path)
    read_manifest(path)
    with commit.locked(path, "index compact"), contextlib.closing(_open_unread(path, None)) as base:
        commit.sweep(path, base.manifest)
        blank = dataclasses.replace(
            base.manifest,
            documents=0,
            passages=0,
            deleted=0,
            languages={},
            segments=(),
            analysis=ANALYSIS,
        )
        writer = CommitWriter.begin(path, blank, base.manifest, None, device)
        with writer.abandoned_on_error():
            return _rewrite(writer, base, progress)


def _open_unread(path: Path, encoder: Encoder | None) -> IndexFolder:
    """The index, for work that needs no vector of a new text: its encoder is not loaded."""
    entry = read_manifest(path).encoder
    return IndexFolder.open(path, encoder or _Unloaded(entry), "cpu")


class _Unloaded:
    """Stands for the encoder of an index where nothing is encoded."""

    max_tokens: int | None = None

    def __init__(self, entry: EncoderEntry) -> None:
        self.name, self.dim, self.fingerprint = entry.name, entry.dim, entry.fingerprint

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        raise AssertionError("nothing is split without the encoder")

    def encode(self, texts: Sequence[str], kind: str = "passage") -> NDArray[np.float32]:
        raise AssertionError("nothing is encoded without the encoder")


# -- the work --------------------------------------------------------------------------------------


def _add(
    writer: CommitWriter,
    documents: Iterable[Document],
    encoder: Encoder,
    on_reject: OnReject | None,
    progress: Progress | None,
    workers: int,
    gone: Callable[[], Collection[str]] = tuple,
) -> ChangeReport:
    """Read, prepare, encode and write the documents; one commit, or none where nothing changed."""
    start = time.perf_counter()
    incoming = Incoming(on_reject, progress)
    counts = incoming.counts
    base = writer.base
    with writer.abandoned_on_error():
        segment = writer.open_segment()
        batches = incoming.batches(documents, writer.find, writer.retire)
        order = _write(writer, batches, encoder, progress, workers, counts)
        segment.finish()
        writer.take_fields(segment.columns)
        if base is not None:
            for id_, place in base.store.find(list(gone())).items():
                writer.retire(id_, place)
                counts["deleted"] += 1
        if segment.documents == 0 and not counts["replaced"] and not counts["deleted"]:
            writer.abandon()
            if base is None:
                raise DocumentError("no document could be used; nothing was indexed")
            commit.sweep(writer.path, base.manifest, keep_journal=False)
            return _report(counts, base.manifest, 0, start)
        vectors = writer.folder / "vectors.f32"
        _arrange(writer.path / "journal" / "vectors.f32", vectors, order, encoder.dim)
        manifest = writer.finish(encoder=encoder if base is None else None)
    return _report(counts, manifest, segment.passages, start)


def _write(
    writer: CommitWriter,
    batches: Iterator[list[Hashed]],
    encoder: Encoder,
    progress: Progress | None,
    workers: int,
    counts: collections.Counter[str],
) -> list[NDArray[np.int64]]:
    """Write every batch; the journal's rows of the vectors, in the order of the passages."""
    order: list[NDArray[np.int64]] = []
    template, aligned = writer.template, writer.alignment is not None
    journal = Journal.open(writer.path / "journal", encoder.dim, _depends_on(template, encoder))
    try:
        for batch, prepared in prepared_batches(
            batches,
            template.passage_settings,
            encoder,
            workers,
            lambda: not journal.waiting,
            aligned,
        ):
            commit.reached("batch prepared")
            rows, tokens = encoded(batch, prepared, encoder, journal, aligned)
            order.append(rows)
            commit.reached("batch encoded")
            writer.write(batch, prepared, tokens)
            if progress is not None:
                progress(len(batch))
        counts["encoded"] = journal.rows - journal.recovered
    finally:
        journal.close()
    return order


def _depends_on(made: Manifest, encoder: Encoder) -> dict[str, str | int | float | None]:
    """What an interrupted build must have in common with the one that resumes it."""
    return {
        "encoder": f"{encoder.name} ({encoder.fingerprint})",
        "encoder.passage_prompt": made.encoder.passage_prompt,
        "encoder.query_prompt": made.encoder.query_prompt,
        "passages.size": made.passage_settings.size,
        "passages.overlap": made.passage_settings.overlap,
        "lexical.backend": made.lexical.backend,
        "lexical.word_weight": made.lexical.word_weight,
        "dense.factory": made.dense.factory,
        "dense.probes": made.dense.probes,
    }


def _arrange(journal: Path, target: Path, order: Sequence[NDArray[np.int64]], dim: int) -> None:
    """The journal's vectors in the order of the segment's rows; the same file, when that is its order.

    The journal itself stays until the commit is made, so that a kill between loses nothing.
    """
    rows = np.concatenate(order) if order else np.zeros(0, np.int64)
    size = journal.stat().st_size // (4 * dim)
    if len(rows) == size and np.array_equal(rows, np.arange(size)):
        with contextlib.suppress(OSError):  # no hard links on this file system: copied below
            os.link(journal, target)
            return
    vectors = (
        np.memmap(journal, np.float32, "r").reshape(-1, dim)
        if size
        else np.zeros((0, dim), np.float32)
    )
    with target.open("wb") as out:
        for start in range(0, len(rows), 65_536):
            out.write(np.ascontiguousarray(vectors[rows[start : start + 65_536]]).tobytes())


def _rewrite(writer: CommitWriter, base: IndexFolder, progress: Progress | None) -> ChangeReport:
    """Every live document of `base`, with its vectors, in one segment."""
    start = time.perf_counter()
    segment = writer.open_segment()
    store = base.store
    kept = base.tokens if same_tokens(base.manifest.alignment) else None
    rows: list[NDArray[np.int64]] = []
    live = store.live()
    while chunk := list(itertools.islice(live, prepare.BATCH)):
        batch: list[Hashed] = []
        spans, texts, langs = [], [], []
        for document, digest, row, count in chunk:
            slices = store.passages[row : row + count]
            mine = [(int(p["start"]), int(p["end"])) for p in slices]
            texts += passage_texts(document.title, document.text, mine)
            langs += [document.lang] * count
            spans.append(mine)
            batch.append((document, digest))
            rows.append(np.arange(row, row + count))
        each = [document.lang for document, _ in batch]
        tokens = None
        if kept is not None:
            tokens = kept.take(np.concatenate(rows[-len(chunk) :]))
        elif writer.alignment is not None:
            tokens = tokens_of(texts)
        writer.write(batch, Prepared(each, spans, analyse_all(texts, langs)), tokens)
        commit.reached("batch rewritten")
        if progress is not None:
            progress(len(batch))
    segment.finish()
    declared = {n: e.declared for n, e in base.manifest.fields.items() if e.declared}
    writer.kinds = {n: kind for n, kind in declared.items() if n in segment.columns}
    writer.fields = {}
    writer.take_fields(segment.columns)
    wanted = np.concatenate(rows) if rows else np.zeros(0, np.int64)
    with (writer.folder / "vectors.f32").open("wb") as out:
        for at in range(0, len(wanted), 65_536):
            out.write(store.take(wanted[at : at + 65_536]).tobytes())
    manifest = writer.finish(keep_journal=True)
    return ChangeReport(
        passages=segment.passages,
        documents=manifest.documents,
        seconds=time.perf_counter() - start,
        generation=manifest.generation,
    )


def _report(
    counts: collections.Counter[str], manifest: Manifest, passages: int, start: float
) -> ChangeReport:
    return ChangeReport(
        added=counts["added"],
        replaced=counts["replaced"],
        unchanged=counts["unchanged"] + counts["repeated"],
        deleted=counts["deleted"],
        rejected=counts["rejected"],
        passages=passages,
        encoded=counts["encoded"],
        documents=manifest.documents,
        seconds=time.perf_counter() - start,
        generation=manifest.generation,
    )
