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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from configs.errors import ConfigError, DocumentError, IndexFolderError
from configs.settings import DenseSettings, LexicalSettings, PassageSettings
from indexer.folder import (
    IndexFolder,
    commit,
    locked,
    mark_deleted,
    reached,
    sweep,
)
from indexer.prepare import Hashed, Prepared, Task, divided, in_workers, prepare
from indexer.schema import Document, Encoder, FieldKind
from indexer.search.dense import choose_factory, gpus, write_ann
from indexer.search.filters import nearest_field
from indexer.search.lexical import LexicalWriter
from indexer.storage.columns import Column
from indexer.storage.journal import Journal
from indexer.storage.manifest import (
    FORMAT,
    DenseEntry,
    EncoderEntry,
    FieldEntry,
    Manifest,
    SegmentEntry,
    read_manifest,
)
from indexer.storage.segments import merge_tail
from indexer.storage.store import SegmentWriter, Store, content_hash
from indexer.text import field_values
from indexer.text.analysis import ANALYSIS, analyse_all
from indexer.text.passages import passage_texts
from indexer.text.rejects import OnReject, Reject
from indexer.text.sources import check_document
from indexer.threads import cores

__all__ = ["ChangeReport", "add_documents", "build_index", "compact", "delete_documents"]

BATCH = 1024  # documents prepared, encoded and written at a time
_WORTH_WORKERS = 4 * BATCH  # fewer documents are done before a worker process has started
_CALIBRATION, _ASKED, _WORDS = (
    1000,
    128,
    8,
)  # passages, pseudo-queries and their words: see _background


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


Progress = Callable[[int], None]  # documents done since the last call


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
    entry = EncoderEntry(
        model or str(getattr(encoder, "model", encoder.name)),
        encoder.name,
        encoder.fingerprint,
        encoder.dim,
        query_prompt,
        passage_prompt,
    )
    if path.exists() and not path.is_dir():
        raise IndexFolderError(f"{path}: a file stands there; choose another folder for the index")
    present = (path / "manifest.json").exists()
    if present and not overwrite:
        raise IndexFolderError(
            f"{path}: holds an index already; use `tandem index add` to add to it, or --overwrite to replace it"
        )
    if first is None:
        raise DocumentError("no document could be used; nothing was indexed")
    with locked(path, "index build"):
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
        sweep(path, old, keep_journal=not restart)
        writer = _Writer(path, blank, old, None, encoder, device, kinds)
        return writer.run(itertools.chain([first], stream), on_reject, progress, workers)


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
) -> ChangeReport:
    """Add documents to an index; one with a known id replaces it, an unchanged one is passed over.

    `gone` is asked, when all documents were read, for ids to delete in the same commit; those that are not
    in the index are passed over. Resumed when it was interrupted; `restart` discards what an interrupted
    build or add encoded.
    """
    path = Path(path)
    stream = iter(documents)
    first = next(stream, None)
    read_manifest(path)  # a folder that is no index is told so, and not locked
    with (
        locked(path, "index add"),
        contextlib.closing(IndexFolder.open(path, encoder, device)) as base,
    ):
        sweep(path, base.manifest, keep_journal=not restart)
        if first is None and not gone():
            return ChangeReport(
                documents=base.manifest.documents, generation=base.manifest.generation
            )
        writer = _Writer(path, base.manifest, base.manifest, base, base.encoder, device, kinds)
        documents = itertools.chain([] if first is None else [first], stream)
        return writer.run(documents, on_reject, progress, workers, gone)


def delete_documents(
    path: str | Path, ids: Sequence[str], encoder: Encoder | None = None
) -> ChangeReport:
    """Mark documents deleted. DocumentError, and nothing done, when one of the ids is not in the index."""
    path = Path(path)
    read_manifest(path)
    start = time.perf_counter()
    with locked(path, "index delete"), contextlib.closing(_open_unread(path, encoder)) as base:
        sweep(path, base.manifest)
        wanted = list(dict.fromkeys(ids))
        found = base.store.find(wanted)
        missing = [id_ for id_ in wanted if id_ not in found]
        if missing:
            shown = ", ".join(repr(id_) for id_ in missing[:5]) + (
                " ..." if len(missing) > 5 else ""
            )
            raise DocumentError(f"{path}: not in the index: {shown}; nothing was deleted")
        writer = _Writer(path, base.manifest, base.manifest, base, base.encoder, "cpu")
        for id_, (number, row, count, _) in found.items():
            writer.retire(id_, number, row, count)
        with writer.abandoned_on_error():
            manifest = writer.finish(0, keep_journal=True)
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
    with locked(path, "index compact"), contextlib.closing(_open_unread(path, None)) as base:
        sweep(path, base.manifest)
        blank = dataclasses.replace(
            base.manifest,
            documents=0,
            passages=0,
            deleted=0,
            languages={},
            segments=(),
            analysis=ANALYSIS,
        )
        writer = _Writer(path, blank, base.manifest, None, base.encoder, device)
        with writer.abandoned_on_error():
            return writer.rewrite(base, progress)


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


# -- documents to passages, terms and vectors, in this process or in workers ------------------------


def _task(settings: PassageSettings, encoder: Encoder, workers: int) -> Task:
    """What workers are to do. All that is under way at a time is one batch of the journal: see `in_workers`."""
    from indexer.encoders.static_encoder import StaticEncoder

    model = encoder.folder if workers > 0 and isinstance(encoder, StaticEncoder) else None
    share = max(1, BATCH // (workers + 1))
    return Task(settings.size, settings.overlap, model, encoder.fingerprint, share)


def _prepared(
    batches: Iterator[list[Hashed]],
    task: Task,
    workers: int,
    encoder: Encoder,
    encoding: Callable[[], bool],
) -> Iterator[tuple[list[Hashed], Prepared]]:
    """Each batch with what was made of it; by worker processes when there is enough to do.

    Passages that must fit an encoder are made here, where that encoder is.
    """
    ahead = list(itertools.islice(batches, _WORTH_WORKERS // BATCH))
    stream = itertools.chain(ahead, batches)
    limited = encoder if encoder.max_tokens is not None else None
    if workers < 1 or limited is not None or len(ahead) < _WORTH_WORKERS // BATCH:
        for batch in stream:
            texts = [(document.title, document.text, document.lang) for document, _ in batch]
            yield batch, prepare(texts, task, limited)
        return
    yield from in_workers(divided(stream, task), task, workers, encoding)


# -- one commit in the making -----------------------------------------------------------------------


class _Writer:
    """The next commit of an index folder: on top of `base`, or of nothing."""

    def __init__(
        self,
        path: Path,
        template: Manifest,
        previous: Manifest | None,
        base: IndexFolder | None,
        encoder: Encoder,
        device: str,
        kinds: Mapping[str, FieldKind] | None = None,
    ) -> None:
        self.path = path
        self.template = template
        self.previous = previous
        self.base = base
        self.encoder = encoder
        self.device = device
        self.generation = template.generation + 1
        self.lexical: LexicalWriter | None = None
        if template.lexical.backend == "tantivy":
            folder = path / f"lexical-{self.generation}"
            before = path / base.manifest.lexical_folder if base is not None else None
            # each thread writes segments of its own; one takes in 15,000 passages a second
            self.lexical = LexicalWriter(folder, before, threads=max(1, min(4, cores() // 4)))
        self.languages: collections.Counter[str] = collections.Counter(template.languages)
        self.documents = template.documents
        self.base_rows = len(base.store) if base is not None else 0
        self.deleted = base.store.deleted.copy() if base is not None else np.zeros(0, bool)
        self.folder = path / f"segment-{self.generation}"
        self.kinds = kinds or {}
        self.fields = dict(template.fields)

    def take_fields(self, columns: Mapping[str, Column]) -> None:
        """Add the fields of new documents. ConfigError for a kind that was declared of a field nobody has."""
        if self.base is not None:  # of an older version, whose manifest names none
            for name in self.base.store.fields():
                if name not in self.fields:
                    values = self.base.store.column(name).values
                    self.fields[name] = FieldEntry(field_values.seen_in(values))
        for name, column in columns.items():
            before = self.fields.get(name, FieldEntry())
            seen = field_values.joined(before.seen, field_values.seen_in(column.values))
            self.fields[name] = dataclasses.replace(before, seen=seen)
        for name, kind in self.kinds.items():
            if name not in self.fields:
                known = dict.fromkeys(self.fields)
                raise ConfigError(f"no document has a field {name!r}; {nearest_field(name, known)}")
            kind = field_values.check_kind(name, kind)
            self.fields[name] = dataclasses.replace(self.fields[name], declared=kind)

    def retire(self, id_: str, number: int, row: int, count: int) -> None:
        """Mark a document of the base deleted."""
        assert self.base is not None
        self.deleted[row : row + count] = True
        if self.lexical is not None:
            self.lexical.delete(id_)
        lang = self.base.store.passages["lang"][row].decode()
        self.languages[lang] -= 1
        self.documents -= 1

    @contextlib.contextmanager
    def abandoned_on_error(self) -> Iterator[None]:
        """Whatever goes wrong, tantivy's threads end and its files are let go of."""
        try:
            yield
        except BaseException:
            if self.lexical is not None:
                self.lexical.abandon()
            raise

    def _depends_on(self) -> dict[str, str | int | float | None]:
        """What an interrupted build must have in common with the one that resumes it."""
        made = self.template
        return {
            "encoder": f"{self.encoder.name} ({self.encoder.fingerprint})",
            "encoder.passage_prompt": made.encoder.passage_prompt,
            "encoder.query_prompt": made.encoder.query_prompt,
            "passages.size": made.passage_settings.size,
            "passages.overlap": made.passage_settings.overlap,
            "lexical.backend": made.lexical.backend,
            "lexical.word_weight": made.lexical.word_weight,
            "dense.factory": made.dense.factory,
            "dense.probes": made.dense.probes,
        }

    def run(
        self,
        documents: Iterable[Document],
        on_reject: OnReject | None,
        progress: Progress | None,
        workers: int,
        gone: Callable[[], Collection[str]] = tuple,
    ) -> ChangeReport:
        with self.abandoned_on_error():
            return self._run(documents, on_reject, progress, workers, gone)

    def _run(
        self,
        documents: Iterable[Document],
        on_reject: OnReject | None,
        progress: Progress | None,
        workers: int,
        gone: Callable[[], Collection[str]],
    ) -> ChangeReport:
        start = time.perf_counter()
        settings = self.template.passage_settings
        journal = Journal.open(self.path / "journal", self.encoder.dim, self._depends_on())
        self.folder.mkdir()
        segment = SegmentWriter(self.folder)
        counts = collections.Counter[str]()
        order: list[NDArray[np.int64]] = []
        try:
            task = _task(settings, self.encoder, workers)
            batches = self._new(documents, counts, on_reject, progress)
            for batch, prepared in _prepared(
                batches, task, workers, self.encoder, lambda: not journal.waiting
            ):
                reached("batch prepared")
                order.append(self._encoded(journal, batch, prepared))
                reached("batch encoded")
                self._write(segment, batch, prepared)
                if progress is not None:
                    progress(len(batch))
            counts["encoded"] = journal.rows - journal.recovered
        except BaseException:
            segment.abandon()
            raise
        finally:
            journal.close()
        segment.finish()
        self.take_fields(segment.columns)
        if self.base is not None:
            for id_, (number, row, count, _) in self.base.store.find(list(gone())).items():
                self.retire(id_, number, row, count)
                counts["deleted"] += 1
        if segment.documents == 0 and not counts["replaced"] and not counts["deleted"]:
            if self.lexical is not None:
                self.lexical.abandon()
            if self.base is None:
                raise DocumentError("no document could be used; nothing was indexed")
            sweep(self.path, self.base.manifest, keep_journal=False)
            return self._report(counts, self.base.manifest, 0, start)
        _arrange(
            self.path / "journal" / "vectors.f32",
            self.folder / "vectors.f32",
            order,
            self.encoder.dim,
        )
        manifest = self.finish(segment.documents, segment.passages, calibrate=self.base is None)
        return self._report(counts, manifest, segment.passages, start)

    def _encoded(
        self, journal: Journal, batch: Sequence[Hashed], prepared: Prepared
    ) -> NDArray[np.int64]:
        """The journal's row of each passage; what no worker has encoded is encoded here."""
        if prepared.vectors is not None and not prepared.left:
            return journal.add(prepared.keys, prepared.vectors)
        texts = [
            text
            for (document, _), spans in zip(batch, prepared.spans, strict=True)
            for text in passage_texts(document.title, document.text, spans)
        ]
        if prepared.vectors is None:
            return journal.encode(texts, self.encoder)
        left = list(prepared.left)
        prepared.vectors[left] = self.encoder.encode([texts[i] for i in left], kind="passage")
        return journal.add(prepared.keys, prepared.vectors)

    def rewrite(self, base: IndexFolder, progress: Progress | None) -> ChangeReport:
        """Every live document of `base`, with its vectors, in one segment."""
        start = time.perf_counter()
        self.folder.mkdir()
        segment = SegmentWriter(self.folder)
        store = base.store
        rows: list[NDArray[np.int64]] = []
        live = store.live()
        while chunk := list(itertools.islice(live, BATCH)):
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
            prepared = Prepared(each, spans, analyse_all(texts, langs))
            self._write(segment, batch, prepared)
            reached("batch rewritten")
            if progress is not None:
                progress(len(batch))
        segment.finish()
        declared = {n: e.declared for n, e in base.manifest.fields.items() if e.declared}
        self.kinds = {n: kind for n, kind in declared.items() if n in segment.columns}
        self.fields = {}
        self.take_fields(segment.columns)
        wanted = np.concatenate(rows) if rows else np.zeros(0, np.int64)
        with (self.folder / "vectors.f32").open("wb") as out:
            for at in range(0, len(wanted), 65_536):
                out.write(store.take(wanted[at : at + 65_536]).tobytes())
        manifest = self.finish(segment.documents, segment.passages, keep_journal=True)
        return ChangeReport(
            passages=segment.passages,
            documents=manifest.documents,
            seconds=time.perf_counter() - start,
            generation=manifest.generation,
        )

    def _new(
        self,
        documents: Iterable[Document],
        counts: collections.Counter[str],
        on_reject: OnReject | None,
        progress: Progress | None,
    ) -> Iterator[list[Hashed]]:
        """Batches of documents to write: valid, not seen before, and not the same as in the base."""
        # content hash, then the place as UTF-8: one object an id, of which there may be millions
        seen: dict[str, bytes] = {}
        stream = iter(documents)
        while chunk := list(itertools.islice(stream, BATCH)):
            reached("batch read")
            hashed = [(document, content_hash(document)) for document in chunk]
            known = self.base.store.find([d.id for d in chunk]) if self.base is not None else {}
            batch = []
            for document, digest in hashed:
                problem = check_document(document)
                if problem is None and document.id in seen:
                    first = seen[document.id]
                    if first.startswith(digest):
                        counts["repeated"] += 1
                        continue
                    where = first[len(digest) :].decode()
                    problem = (
                        f"the id {document.id!r} came before{f', at {where},' if where else ''} "
                        "with other content; the first is kept"
                    )
                if problem is not None:
                    counts["rejected"] += 1
                    if on_reject is not None:
                        place = document.place or document.id[:200]
                        on_reject(Reject(place, problem, document.text[:2000]))
                    continue
                seen[document.id] = digest + document.place.encode("utf-8", "replace")
                if document.id in known:
                    number, row, count, before = known[document.id]
                    if before == digest:
                        counts["unchanged"] += 1
                        continue
                    self.retire(document.id, number, row, count)
                    counts["replaced"] += 1
                else:
                    counts["added"] += 1
                batch.append((document, digest))
            if progress is not None and len(batch) < len(chunk):
                progress(len(chunk) - len(batch))
            if batch:
                yield batch

    def _write(
        self,
        segment: SegmentWriter,
        batch: Sequence[Hashed],
        prepared: Prepared,
    ) -> None:
        entries = []
        row = self.base_rows + segment.passages
        analyses = iter(prepared.analyses)
        for (document, digest), lang, spans in zip(
            batch, prepared.langs, prepared.spans, strict=True
        ):
            if document.lang != lang:
                document = dataclasses.replace(document, lang=lang)
            entries.append((document, digest, spans))
            self.languages[lang] += 1
            for analysis in itertools.islice(analyses, len(spans)):
                if self.lexical is not None:
                    self.lexical.add(row, document.id, lang, analysis)
                row += 1
        self.documents += len(entries)
        segment.add(entries)

    def finish(
        self, documents: int, passages: int = 0, keep_journal: bool = False, calibrate: bool = False
    ) -> Manifest:
        """Close every file of the commit and make it the folder's newest.

        `calibrate`: the encoder is at hand to find the background. `keep_journal`: it is of another, interrupted build or add, which can still be resumed.
        """
        reached("segment written")
        segments = list(self.template.segments)
        if documents:
            segments.append(SegmentEntry(self.folder.name, documents, passages))
            self.deleted = np.concatenate([self.deleted, np.zeros(passages, bool)])
        segments = merge_tail(self.path, segments, self.encoder.dim, self.generation)
        reached("segments merged")
        deletions = f"deleted-{self.generation}.npy"
        mark_deleted(self.path, deletions, self.deleted)
        store = Store(
            [self.path / s.folder for s in segments],
            [(s.documents, s.passages) for s in segments],
            self.encoder.dim,
            self.deleted,
        )
        try:
            # FAISS trains on one core; tantivy closes its segment on the other.
            with ThreadPoolExecutor(1) as beside:
                closed = None if self.lexical is None else beside.submit(self.lexical.finish)
                dense = self._dense(store)
                reached("dense written")
            if closed is not None:
                closed.result()
            reached("lexical committed")
            background = self.template.encoder.background
            if calibrate:
                background = _background(store, self.encoder)
        finally:
            store.close()
        langs = {lang: n for lang, n in self.languages.most_common() if n > 0}
        manifest = dataclasses.replace(
            self.template,
            generation=self.generation,
            created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            encoder=dataclasses.replace(self.template.encoder, background=background),
            documents=self.documents,
            passages=int((~self.deleted).sum()),
            deleted=int(self.deleted.sum()),
            languages=langs,
            segments=tuple(segments),
            deletions=deletions,
            lexical_folder=f"lexical-{self.generation}" if self.lexical is not None else "none",
            dense_index=dense,
            fields=self.fields,
        )
        manifest = commit(self.path, manifest, self.previous)
        sweep(self.path, manifest, keep_journal)
        reached("old files removed")
        return manifest

    def _dense(self, store: Store) -> DenseEntry:
        """The FAISS file of this commit: the one there is, that one with the new rows, or a new one."""
        wanted = self.template.dense.factory
        factory = wanted
        if wanted == "auto":
            on_gpu = self.device != "cpu" and gpus() > 0
            factory = choose_factory(len(store), store.dim, on_gpu)
        if factory == "Flat" or not len(store):
            return DenseEntry("Flat")
        name = f"dense-{self.generation}.faiss"
        before = self.base.manifest.dense_index if self.base is not None else DenseEntry()
        if before.file is not None:
            grown = len(store) >= 4 * max(before.covered, 1)  # too few lists by now: train again
            if not grown:
                if len(store) - before.covered <= max(10_000, before.covered // 10):
                    return before
                write_ann(
                    self.path / name,
                    store,
                    before.factory,
                    self.path / before.file,
                    before.covered,
                    self.device,
                )
                return DenseEntry(before.factory, name, len(store))
        write_ann(self.path / name, store, factory, device=self.device)
        return DenseEntry(factory, name, len(store))

    def _report(
        self, counts: collections.Counter[str], manifest: Manifest, passages: int, start: float
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


def _background(store: Store, encoder: Encoder) -> float:
    """The mean cosine of queries and passages that have nothing to do with each other.

    The first words of some passages stand for queries, other passages for what does not answer them;
    both from a fixed random sample.
    """
    live = np.flatnonzero(~store.deleted)
    if len(live) < 2:
        return 0.0
    picked = np.random.default_rng(0).choice(live, min(_CALIBRATION, len(live)), replace=False)
    asked = picked[:_ASKED]
    numbers = store.documents_of(asked)
    documents = store.documents(set(numbers.tolist()))
    queries = []
    for row, number in zip(asked, numbers.tolist(), strict=True):
        start = int(store.passages["start"][row])
        words = documents[number].text[start : start + 200].split()[:_WORDS]
        queries.append(" ".join(words)[:60])
    products = encoder.encode(queries, kind="query") @ store.take(picked).T  # (asked, picked)
    unrelated = numbers[:, None] != store.documents_of(picked)[None, :]
    found = products[unrelated]
    return round(max(0.0, float(found.mean())), 4) if len(found) else 0.0
