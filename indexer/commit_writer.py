"""The next commit of an index folder in the making: what is added and deleted, then every file closed at once."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from configs.errors import ConfigError
from indexer.aligned_tokens import alignment_entry, same_tokens
from indexer.calibration import background_of
from indexer.folder import IndexFolder
from indexer.prepare import Hashed, Prepared
from indexer.schema import Document, Encoder, FieldKind
from indexer.search.dense import choose_factory, write_ann
from indexer.search.filters import nearest_field
from indexer.search.gpu import cards, gpus
from indexer.search.lexical import LexicalWriter
from indexer.storage import commit
from indexer.storage.columns import Column
from indexer.storage.manifest import DenseEntry, FieldEntry, Manifest, SegmentEntry
from indexer.storage.passage_tokens import TokenSets
from indexer.storage.segments import merge_tail
from indexer.storage.store import SegmentWriter, Store, StoredDocument
from indexer.text import field_values
from indexer.threads import cores

__all__ = ["CommitWriter"]


class CommitWriter:
    """The next commit: on top of `base`, or of nothing. Made by `begin`, ended by `finish` or `abandon`."""

    def __init__(
        self,
        path: Path,
        template: Manifest,
        previous: Manifest | None,
        base: IndexFolder | None,
        lexical: LexicalWriter | None,
        device: str,
        kinds: Mapping[str, FieldKind] | None = None,
    ) -> None:
        """`template` says how the index is made; `previous` is the commit that stands in the folder; `kinds`
        are declared of fields."""
        self.path = path
        self.template = template
        self.base = base
        self.generation = template.generation + 1
        self.folder = path / f"segment-{self.generation}"
        self.segment: SegmentWriter | None = None
        self.kinds = kinds or {}
        self.fields = dict(template.fields)
        ours = alignment_entry()
        # Tokens of two students cannot stand in one index: it does without, until `compact` makes them anew.
        self.alignment = ours if base is None or same_tokens(template.alignment) else None
        self._previous = previous
        self._lexical = lexical
        self._device = device
        self._languages: collections.Counter[str] = collections.Counter(template.languages)
        self._documents = template.documents
        self._base_rows = len(base.store) if base is not None else 0
        self._deleted = base.store.deleted.copy() if base is not None else np.zeros(0, bool)

    @classmethod
    def begin(
        cls,
        path: Path,
        template: Manifest,
        previous: Manifest | None,
        base: IndexFolder | None,
        device: str,
        kinds: Mapping[str, FieldKind] | None = None,
    ) -> CommitWriter:
        """Open the lexical index of the next commit: a copy of the one of `base`, or a new one."""
        lexical = None
        if template.lexical.backend == "tantivy":
            folder = path / f"lexical-{template.generation + 1}"
            before = path / base.manifest.lexical_folder if base is not None else None
            # each thread writes segments of its own; one takes in 15,000 passages a second
            lexical = LexicalWriter.create(folder, before, threads=max(1, min(4, cores() // 4)))
        return cls(path, template, previous, base, lexical, device, kinds)

    @contextlib.contextmanager
    def abandoned_on_error(self) -> Iterator[None]:
        """Whatever goes wrong, tantivy's threads end and the files are closed."""
        try:
            yield
        except BaseException:
            self.abandon()
            raise

    def abandon(self) -> None:
        """Give the commit up; what it has written is a leftover."""
        if self.segment is not None:
            self.segment.abandon()
        if self._lexical is not None:
            self._lexical.abandon()

    # -- what changes ------------------------------------------------------------------------------

    def open_segment(self) -> SegmentWriter:
        """Begin the segment of the documents that are added."""
        self.folder.mkdir()
        self.segment = SegmentWriter.create(self.folder, aligned=self.alignment is not None)
        return self.segment

    def write(self, batch: Sequence[Hashed], prepared: Prepared, tokens: TokenSets | None) -> None:
        """Add documents with their passages, terms and tokens; the vectors come beside, in the same order."""
        assert self.segment is not None
        entries = []
        row = self._base_rows + self.segment.passages
        analyses = iter(prepared.analyses)
        for (document, digest), lang, spans in zip(
            batch, prepared.langs, prepared.spans, strict=True
        ):
            if document.lang != lang:
                document = dataclasses.replace(document, lang=lang)
            entries.append((document, digest, spans))
            self._languages[lang] += 1
            for analysis in itertools.islice(analyses, len(spans)):
                if self._lexical is not None:
                    self._lexical.add(row, document.id, lang, analysis)
                row += 1
        self._documents += len(entries)
        self.segment.add(entries, tokens)

    def find(self, documents: Sequence[Document]) -> dict[str, StoredDocument]:
        """Those of these documents that the base holds."""
        return {} if self.base is None else self.base.store.find([d.id for d in documents])

    def retire(self, id_: str, place: StoredDocument) -> None:
        """Mark a document of the base deleted."""
        assert self.base is not None
        self._deleted[place.row : place.row + place.passages] = True
        if self._lexical is not None:
            self._lexical.delete(id_)
        lang = self.base.store.passages["lang"][place.row].decode()
        self._languages[lang] -= 1
        self._documents -= 1

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

    # -- the commit --------------------------------------------------------------------------------

    def finish(self, keep_journal: bool = False, encoder: Encoder | None = None) -> Manifest:
        """Close every file of the commit and make it the folder's newest.

        `encoder`: of a new index, whose background is found with it. `keep_journal`: the journal is of
        another build or add, one that was interrupted and can still be resumed.
        """
        commit.reached("segment written")
        segments = self._segments()
        commit.reached("segments merged")
        deletions = f"deleted-{self.generation}.npy"
        commit.mark_deleted(self.path, deletions, self._deleted)
        store = Store.open(
            [self.path / s.folder for s in segments],
            [(s.documents, s.passages) for s in segments],
            self.template.encoder.dim,
            self._deleted,
        )
        try:
            dense = self._close_indexes(store)
            made_with = self.template.encoder
            if encoder is not None:
                made_with = dataclasses.replace(made_with, background=background_of(store, encoder))
        finally:
            store.close()
        manifest = dataclasses.replace(
            self.template,
            generation=self.generation,
            created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            encoder=made_with,
            documents=self._documents,
            passages=int((~self._deleted).sum()),
            deleted=int(self._deleted.sum()),
            languages={lang: n for lang, n in self._languages.most_common() if n > 0},
            segments=tuple(segments),
            deletions=deletions,
            lexical_folder=f"lexical-{self.generation}" if self._lexical is not None else "none",
            dense_index=dense,
            fields=self.fields,
            alignment=self.alignment,
        )
        manifest = commit.commit(self.path, manifest, self._previous)
        commit.sweep(self.path, manifest, keep_journal)
        commit.reached("old files removed")
        return manifest

    def _segments(self) -> list[SegmentEntry]:
        """The segments of this commit, the smallest of the last ones merged."""
        segments = list(self.template.segments)
        if self.segment is not None and self.segment.documents:
            added = self.segment.documents, self.segment.passages
            segments.append(SegmentEntry(self.folder.name, *added))
            self._deleted = np.concatenate([self._deleted, np.zeros(added[1], bool)])
        else:
            self.alignment = self.template.alignment  # nothing was added
        aligned = self.alignment is not None
        dim = self.template.encoder.dim
        return merge_tail(self.path, segments, dim, self.generation, aligned)

    def _close_indexes(self, store: Store) -> DenseEntry:
        """Both searches' files closed: FAISS trains on one core, tantivy closes its segment on the other."""
        with ThreadPoolExecutor(1) as second:
            closed = None if self._lexical is None else second.submit(self._lexical.finish)
            dense = self._dense(store)
            commit.reached("dense written")
        if closed is not None:
            closed.result()
        commit.reached("lexical committed")
        return dense

    def _dense(self, store: Store) -> DenseEntry:
        """The FAISS file of this commit: the one there is, that one with the new rows, or a new one."""
        factory = self.template.dense.factory
        if factory == "auto":
            on_gpu = bool(cards(self._device, gpus()))
            factory = choose_factory(len(store), store.dim, on_gpu)
        if factory == "Flat" or not len(store):
            return DenseEntry("Flat")
        name = f"dense-{self.generation}.faiss"
        before = self.base.manifest.dense_index if self.base is not None else DenseEntry()
        grown = len(store) >= 4 * max(before.covered, 1)  # too few lists by now: train again
        if before.file is None or grown:
            write_ann(self.path / name, store, factory, device=self._device)
            return DenseEntry(factory, name, len(store))
        if len(store) - before.covered <= max(10_000, before.covered // 10):
            return before
        old = self.path / before.file
        write_ann(self.path / name, store, before.factory, old, before.covered, self._device)
        return DenseEntry(before.factory, name, len(store))
